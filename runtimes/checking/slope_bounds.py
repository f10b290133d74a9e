"""How far a result moves when its operands move by their rounding: the error bound of any smooth operator, by trying.

An operand whose largest operand is m may be off by a share of m. The node is therefore computed again with its operands
moved by ±ε m, and

    |f(x + ε s m) − f(x − ε s m)| / 2 ε

is |f′(x)| m to first order, for a function of single elements. A sum over many (a normalisation, a softmax) is moved
twice, by signs s drawn by chance, because the roundings of its operands do not add up with one sign either.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np

from astroedge.host_package import require
from astroedge.step.operators import operator

if TYPE_CHECKING:
    import onnx
    from onnx import helper, numpy_helper
else:
    onnx = require("onnx", "comparing with ONNX Runtime")
    helper = require("onnx.helper", "comparing with ONNX Runtime")
    numpy_helper = require("onnx.numpy_helper", "comparing with ONNX Runtime")

# ε is far above the rounding of the two results that are subtracted, and far below where functions bend.
STEPS: dict[int, float] = {onnx.TensorProto.FLOAT16: 2.0**-5}
STEP = 2.0**-13
PATTERNS = 2
LARGEST: dict[int, float] = {
    onnx.TensorProto.FLOAT16: 2.0**14
}  # beyond it an operand stays: moved, it may be no number
LARGEST_FLOAT32 = 2.0**120


class SlopeRule:
    """The nodes and constants that tell how far one output of a node moves; names begin with `slope.<number>`."""

    def __init__(self, number: int, node: onnx.NodeProto, value: str, element: int) -> None:
        """Follow the output `value` of `node`, whose ONNX element type is `element`."""
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._prefix, self._node, self._value, self._element = f"slope.{number}", node, value, element
        self._step = STEPS.get(element, STEP)

    def follow(self, magnitudes: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
        """Names of what the output moves by, one for each way to move the operands in `magnitudes`.

        It has, by operand, the value that holds the operand's largest operands; `shapes` the shapes that are known.
        """
        if not magnitudes:
            return []
        if operator(self._node.op_type).rounding != "ordered sum":
            return [self._difference({item: self._move(item, size, None)}) for item, size in magnitudes.items()]
        return [
            self._difference({item: self._move(item, size, shapes.get(item)) for item, size in magnitudes.items()})
            for _ in range(PATTERNS)
        ]

    def _move(self, operand: str, magnitude: str, shape: tuple[int, ...] | None) -> tuple[str, str]:
        """An operand moved up and down, by signs of its own where a shape is given."""
        signs = np.ones(shape or ())
        if shape:
            random = np.random.default_rng(len(self.constants))
            signs = random.choice([-1.0, 1.0], shape)
        share = self._emit("Mul", magnitude, self._constant(signs * self._step))
        usual = self._emit("Less", magnitude, self._constant(np.array(LARGEST.get(self._element, LARGEST_FLOAT32))))
        way = self._emit("Where", usual, share, self._constant(np.array(0.0)))
        return self._emit("Add", operand, way), self._emit("Sub", operand, way)

    def _difference(self, moved: Mapping[str, tuple[str, str]]) -> str:
        """|f(x + h) − f(x − h)| / 2 ε."""
        sides = [self._again({item: ways[side] for item, ways in moved.items()}) for side in (0, 1)]
        distance = self._emit("Abs", self._emit("Sub", *sides))
        return self._emit("Mul", distance, self._constant(np.array(0.5 / self._step)))

    def _again(self, operands: Mapping[str, str]) -> str:
        """The node once more with other operands; the output that is followed."""
        copy = deepcopy(self._node)
        number = len(self.nodes)
        copy.name = ""
        copy.input[:] = [operands.get(item, item) for item in self._node.input]
        copy.output[:] = [
            f"{self._prefix}.{number}.{place}" if name else "" for place, name in enumerate(self._node.output)
        ]
        self.nodes.append(copy)
        followed: str = copy.output[list(self._node.output).index(self._value)]
        return followed

    def _constant(self, numbers: np.ndarray) -> str:
        name = f"{self._prefix}.constant.{len(self.constants)}"
        array = numbers.astype(helper.tensor_dtype_to_np_dtype(self._element))
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def _emit(self, kind: str, *inputs: str) -> str:
        output = f"{self._prefix}.{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output]))
        return output
