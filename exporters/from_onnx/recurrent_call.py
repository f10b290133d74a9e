"""One LSTM, GRU or RNN of a foreign graph: its operands, sizes and options, and what of them no step can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import onnx
from onnx import helper

from astroedge.errors import UnsupportedOpError
from astroedge.exporters.from_onnx.known_values import DType
from astroedge.exporters.from_onnx.recurrent_activations import PARAMETERS, Activation, read_activations
from astroedge.exporters.from_onnx.unroll_loops import UNROLLED
from astroedge.step.graph_index import ValueTypes, attributes

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
DEFAULT_ACTIVATIONS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
DIRECTIONS = {b"forward": (False,), b"reverse": (True,), b"bidirectional": (False, True)}


@dataclass(frozen=True)
class RecurrentCall:
    """A recurrent operator whose batch is its second axis; `inputs` are the operands that it has, by ONNX's names."""

    node: onnx.NodeProto
    types: ValueTypes

    @property
    def kind(self) -> str:
        """LSTM, GRU or RNN."""
        return str(self.node.op_type)

    @cached_property
    def options(self) -> dict[str, Any]:
        """The attributes by name."""
        return attributes(self.node)

    @cached_property
    def inputs(self) -> dict[str, str]:
        """The value that each operand is, without those that are left out."""
        return {name: value for name, value in zip(INPUTS, self.node.input, strict=False) if value}

    @cached_property
    def outputs(self) -> list[str]:
        """The values Y, Y_h and Y_c; "" for one that nobody asks for."""
        return [*self.node.output, "", "", ""][:3]

    @cached_property
    def directions(self) -> tuple[bool, ...]:
        """Whether it runs backwards, for each direction."""
        direction = self.options.get("direction", b"forward")
        if direction not in DIRECTIONS:
            self.refuse(f"its direction is {direction!r}")
        return DIRECTIONS[direction]

    @cached_property
    def sizes(self) -> tuple[int, int, int]:
        """Elements of the sequence, streams, and features of X.

        Raises UnsupportedOpError where they are open, and for a sequence too long to be written out.
        """
        shape = self.types.shapes.get(self.inputs["X"])
        if shape is None:
            self.refuse("its input has no fixed shape: fix all sizes with --shape")
        length, batch, width = shape
        if length > UNROLLED:
            self.refuse(
                f"it runs over {length} elements of a sequence, and a step holds them one by one, at most {UNROLLED}: "
                "give a graph of one tick"
            )
        return length, batch, width

    @cached_property
    def hidden(self) -> int:
        """Elements of the hidden state of a stream."""
        shape = self.types.shapes.get(self.inputs["R"])
        if shape is None:
            self.refuse("the size of its weights R is open: fix all sizes with --shape")
        return shape[-1]

    @cached_property
    def dtype(self) -> DType:
        """The dtype of X."""
        return helper.tensor_dtype_to_np_dtype(self.types.elements[self.inputs["X"]])

    @cached_property
    def clip(self) -> float | None:
        """The bound on what activations read."""
        bound: float | None = self.options.get("clip")
        return bound or None

    def activations(self, direction: int) -> list[Activation]:
        """Those of one direction, in ONNX's order."""
        usual = DEFAULT_ACTIVATIONS[self.kind]
        given: Sequence[bytes] | None = self.options.get("activations")
        names = [name.decode() for name in given] if given else list(usual) * len(self.directions)
        found = list(
            read_activations(names, *(self.options.get(f"activation_{name}", []) for name in ("alpha", "beta")))
        )
        known = [item for item in found if item is not None]
        if len(known) < len(names) or len(known) != len(usual) * len(self.directions):
            self.refuse(
                f"its activations are {', '.join(names)}; it takes {len(usual) * len(self.directions)} of "
                f"{', '.join(sorted(PARAMETERS))}"
            )
        return known[direction * len(usual) : (direction + 1) * len(usual)]

    def refuse(self, reason: str) -> NoReturn:
        """Raise UnsupportedOpError that names the operator and the value that it makes."""
        base = next((name for name in self.node.output if name), self.kind)
        raise UnsupportedOpError(f"The graph's {self.kind} that makes {base!r} cannot be a step: {reason}.")
