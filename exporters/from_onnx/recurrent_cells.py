"""One element of a sequence through an LSTM, GRU or RNN, as matrix products and activations.

The equations and the order of the gates (LSTM: input, output, forget, cell; GRU: update, reset, hidden) are those of
the ONNX operator documents.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from astroedge.exporters.from_onnx.known_values import DType
from astroedge.exporters.from_onnx.recurrent_activations import Activation
from astroedge.exporters.from_onnx.recurrent_call import GATES, RecurrentCall
from astroedge.step.node_builder import NodeBuilder


class RecurrentCell:
    """The cell of one direction; `project` reads a whole sequence, `step` an element of it."""

    def __init__(self, call: RecurrentCall, builder: NodeBuilder, direction: int) -> None:
        """Write what does not depend on the element: weights and biases of `direction`."""
        self._call = call
        self._builder = builder
        self._direction = direction
        self._constants: dict[tuple[object, ...], str] = {}
        self._activations = call.activations(direction)
        self._size = call.hidden
        gates = GATES[call.kind] * self._size
        _, _, width = call.sizes
        self._input = self._weights("W", "input.weight", (gates, width))
        self._recurrent = self._weights("R", "hidden.weight", (gates, self._size))
        self._reset_after = bool(call.options.get("linear_before_reset", 0))
        cut = 2 * self._size
        self._gru_weights = "", ""
        if call.kind == "GRU" and not self._reset_after:
            self._gru_weights = (
                self._rows(self._recurrent, 0, cut, "gates.weight"),
                self._rows(self._recurrent, cut, 3 * self._size, "candidate.weight"),
            )
        self._biases = self._read_biases(gates)
        self._peepholes = self._read_peepholes()

    @property
    def initial(self) -> tuple[str, ...]:
        """The states before the first element, `(batch, hidden)`; zeros where none is fed."""
        names = ("initial_h", "initial_c") if self._call.kind == "LSTM" else ("initial_h",)
        return tuple(self._initial(name) for name in names)

    @property
    def nothing(self) -> str:
        """A zero."""
        return self._number(0)

    def project(self, x: str) -> str:
        """The input's share of every gate, for all rows of `x` at once.

        It has the biases of both, as far as they are added before anything else is done.
        """
        return self._affine(x, self._input, self._biases[0])

    def step(self, given: str, states: Sequence[str]) -> tuple[str, ...]:
        """The next states, of which the first is the output; `given` is what `project` made of one element."""
        if self._call.kind == "LSTM":
            return self._lstm(given, *states)
        if self._call.kind == "GRU":
            return (self._gru_reset_after if self._reset_after else self._gru)(given, *states)
        return (self._apply(0, self._op("Add", given, self._affine(states[0], self._recurrent))),)

    def _lstm(self, given: str, hidden: str, cell: str) -> tuple[str, str]:
        i, o, forget, c = self._split(self._op("Add", given, self._affine(hidden, self._recurrent)), 4)
        i, forget = self._peek(i, cell, 0), self._peek(forget, cell, 2)
        let_in = self._apply(0, i)
        keep = self._complement(let_in) if self._call.options.get("input_forget") else self._apply(0, forget)
        following = self._op("Add", self._op("Mul", keep, cell), self._op("Mul", let_in, self._apply(1, c)))
        shown = self._apply(0, self._peek(o, following, 1))
        return self._op("Mul", shown, self._activations[2].write(self._builder, following, self._call.dtype)), following

    def _gru(self, given: str, hidden: str) -> tuple[str]:
        """The reset gate acts on the hidden state before its product."""
        xz, xr, xh = self._split(given, 3)
        gates, left = self._gru_weights
        hz, hr = self._split(self._affine(hidden, gates), 2)
        z, reset = (self._apply(0, self._op("Add", *pair)) for pair in ((xz, hz), (xr, hr)))
        return self._blend(z, hidden, self._op("Add", xh, self._affine(self._op("Mul", reset, hidden), left)))

    def _gru_reset_after(self, given: str, hidden: str) -> tuple[str]:
        """The reset gate acts on the product of the hidden state (linear_before_reset)."""
        xz, xr, xh = self._split(given, 3)
        hz, hr, hh = self._split(self._affine(hidden, self._recurrent, self._biases[1]), 3)
        z, reset = (self._apply(0, self._op("Add", *pair)) for pair in ((xz, hz), (xr, hr)))
        return self._blend(z, hidden, self._op("Add", xh, self._op("Mul", reset, hh)))

    def _blend(self, z: str, hidden: str, candidate: str) -> tuple[str]:
        fresh = self._op("Mul", self._complement(z), self._apply(1, candidate))
        return (self._op("Add", fresh, self._op("Mul", z, hidden)),)

    def _apply(self, place: int, value: str) -> str:
        """An activation of what a gate sums up, within the clip."""
        bound, dtype = self._call.clip, self._call.dtype
        if bound is not None:
            value = self._op("Clip", value, self._number(-bound), self._number(bound))
        activation: Activation = self._activations[place]
        return activation.write(self._builder, value, dtype)

    def _complement(self, value: str) -> str:
        return self._op("Sub", self._number(1), value)

    def _peek(self, gate: str, cell: str, place: int) -> str:
        """A gate that also sees the cell; P has input, output and forget gate in this order."""
        if not self._peepholes:
            return gate
        return self._op("Add", gate, self._op("Mul", self._peepholes[place], cell))

    def _weights(self, operand: str, name: str, shape: tuple[int, ...]) -> str:
        """The matrix of this direction."""
        value = self._of_direction(self._call.inputs[operand])
        return self._builder.op("Reshape", [value, self._ints(*shape)], self._builder.name(name))

    def _read_biases(self, gates: int) -> tuple[str, str]:
        """What is added to the input's share, and to the hidden state's; "" where nothing is.

        The two biases of a gate are one sum, but for the candidate of a GRU whose reset gate acts after the product.
        """
        if "B" not in self._call.inputs:
            return "", ""
        value = self._builder.op("Reshape", [self._of_direction(self._call.inputs["B"]), self._ints(2 * gates)])
        given, hidden = self._rows(value, 0, gates), self._rows(value, gates, 2 * gates)
        if self._call.kind != "GRU" or not self._reset_after:
            return self._builder.op("Add", [given, hidden], self._builder.name("bias")), ""
        return given, hidden

    def _read_peepholes(self) -> list[str]:
        if "P" not in self._call.inputs:
            return []
        value = self._builder.op("Reshape", [self._of_direction(self._call.inputs["P"]), self._ints(3 * self._size)])
        return [self._rows(value, place * self._size, (place + 1) * self._size, "peephole") for place in range(3)]

    def _initial(self, name: str) -> str:
        _, batch, _ = self._call.sizes
        if name not in self._call.inputs:
            return self._builder.constant(np.zeros((batch, self._size)), self._call.dtype, name)
        return self._builder.op("Reshape", [self._of_direction(self._call.inputs[name]), self._ints(batch, self._size)])

    def _of_direction(self, value: str) -> str:
        """What belongs to this direction of an operand whose first axis is the direction."""
        if len(self._call.directions) == 1:
            return value
        return self._rows(value, self._direction, self._direction + 1)

    def _rows(self, value: str, start: int, end: int, name: str = "rows") -> str:
        """The elements from `start` to `end` of the first axis."""
        return self._builder.op("Slice", [value, *map(self._ints, (start, end, 0))], self._builder.name(name))

    def _affine(self, x: str, weights: str, bias: str = "") -> str:
        return self._builder.op("Gemm", [x, weights, bias] if bias else [x, weights], transB=1)

    def _split(self, value: str, count: int) -> list[str]:
        outputs = [self._builder.name(f"gate{index}") for index in range(count)]
        return self._builder.ops("Split", [value, self._ints(*[self._size] * count)], outputs, axis=1)

    def _op(self, kind: str, *inputs: str) -> str:
        return self._builder.op(kind, inputs)

    def _ints(self, *values: int) -> str:
        return self._stored(values, np.dtype(np.int64))

    def _number(self, value: float) -> str:
        return self._stored(value, self._call.dtype)

    def _stored(self, value: float | tuple[int, ...], dtype: DType) -> str:
        """A constant, written once however many elements use it."""
        key = value, dtype
        if key not in self._constants:
            self._constants[key] = self._builder.constant(value, dtype)
        return self._constants[key]
