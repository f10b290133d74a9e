"""ONNX's LSTM, GRU and RNN over a sequence of one, written as matrix products and activations.

The equations and the order of the gates (LSTM: input, output, forget, cell; GRU: update, reset, hidden) are those of
the ONNX operator documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import onnx
from onnx import helper, numpy_helper

from astroedge.errors import UnsupportedOpError
from astroedge.exporters.from_onnx.fold_graph import Array, Shapes, inferred_shapes
from astroedge.exporters.shared.labels import unique
from astroedge.step.graph_index import GraphIndex, attributes, replace_items

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
DEFAULT_ACTIVATIONS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
ACTIVATIONS = frozenset({"Relu", "Sigmoid", "Softplus", "Softsign", "Tanh"})  # those without parameters
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")


def expand_recurrent(model: onnx.ModelProto) -> None:
    """Replace each LSTM, GRU and RNN of a folded model in place.

    Raises UnsupportedOpError, which names the operator, for sequences longer than one, both directions, sequence_lens,
    peepholes (P), clip, input_forget, layout, an activation with parameters, and weights that are not constant.
    """
    shapes = inferred_shapes(model)
    index = GraphIndex(model.graph)
    weights = {name: numpy_helper.to_array(item) for name, item in index.initialisers.items()}
    nodes: list[onnx.NodeProto] = []
    taken = {*index.names}
    for node in model.graph.node:
        if node.op_type not in GATES:
            nodes.append(node)
            continue
        expansion = _Expansion(node, shapes, weights, taken)
        nodes += expansion.nodes
        model.graph.initializer.extend(expansion.constants)
    replace_items(model.graph.node, nodes)


class _Expansion:
    """The nodes and constants that stand for one recurrent operator."""

    def __init__(self, node: onnx.NodeProto, shapes: Shapes, weights: dict[str, Array], taken: set[str]) -> None:
        """Expand `node`; `taken` are value names in use."""
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._taken = taken
        self._kind = node.op_type
        self._base = next((name for name in node.output if name), node.op_type)
        self._inputs = {name: value for name, value in zip(INPUTS, node.input, strict=False) if value}
        options = attributes(node)
        self._check(options, shapes)
        w, r = (self._weight(name, weights)[0] for name in ("W", "R"))
        b = self._weight("B", weights)[0] if "B" in self._inputs else np.zeros(2 * len(w), w.dtype)
        self._hidden, self._dtype = r.shape[1], w.dtype
        self._batch = shapes[self._inputs["X"]][1]
        self._activations = self._read_activations(options)
        x = self._reshape(self._inputs["X"], (self._batch, w.shape[1]))
        h = self._initial("initial_h")
        sides = self._affine(x, w, b[: len(w)], "input"), (h, r, b[len(w) :])
        results: tuple[str, ...]
        if self._kind == "LSTM":
            results = self._lstm(*sides)
        elif self._kind == "GRU":
            results = self._gru(*sides, linear_before_reset=bool(options.get("linear_before_reset", 0)))
        else:
            results = (
                self._op(self._activations[0], [self._op("Add", [sides[0], self._affine(*sides[1], "hidden")])]),
            )
        self._give(node.output, results)

    def _check(self, options: dict[str, object], shapes: Shapes) -> None:
        """Refuse what a step cannot hold or this file does not transcribe."""
        shape = shapes.get(self._inputs["X"])
        length = None if shape is None else shape[0]
        reasons = {
            "it has its batch first (layout), which ONNX Runtime does not run; transpose around it": bool(
                options.get("layout")
            ),
            "its input has no fixed shape: fix all sizes with --shape": shape is None,
            f"it runs over {length} elements of a sequence; a step is one: give a graph of one tick": length
            not in (1, None),
            "it runs in both directions, and a stream has no end": options.get("direction") == b"bidirectional",
            "it has sequence_lens; leave that input out": "sequence_lens" in self._inputs,
            "it has peepholes (P); leave them out": "P" in self._inputs,
            "it has a clip; leave it out": "clip" in options,
            "it couples input and forget gates (input_forget); leave that out": bool(options.get("input_forget")),
        }
        for reason, holds in reasons.items():
            if holds:
                self._refuse(reason)

    def _refuse(self, reason: str) -> NoReturn:
        raise UnsupportedOpError(f"The graph's {self._kind} that makes {self._base!r} cannot be a step: {reason}.")

    def _weight(self, name: str, weights: dict[str, Array]) -> Array:
        if self._inputs.get(name) not in weights:
            self._refuse(f"its weights {name} are computed or fed at each tick; make them constants")
        return weights[self._inputs[name]]

    def _read_activations(self, options: dict[str, object]) -> list[str]:
        given = options.get("activations")
        names = [name.decode() for name in given] if isinstance(given, list) else DEFAULT_ACTIVATIONS[self._kind]
        found = [known for name in names for known in ACTIVATIONS if known.lower() == name.lower()]
        if len(found) != len(names):
            self._refuse(f"its activations are {', '.join(names)}; known are {', '.join(sorted(ACTIVATIONS))}")
        return found

    def _lstm(self, given: str, hidden: tuple[str, Array, Array]) -> tuple[str, str]:
        """Next hidden and cell state."""
        f, g, h = self._activations
        sums = self._op("Add", [given, self._affine(*hidden, "hidden")])
        i, o, forget, c = self._split(sums, 4)
        kept = self._op("Mul", [self._op(f, [forget]), self._initial("initial_c")])
        cell = self._op("Add", [kept, self._op("Mul", [self._op(f, [i]), self._op(g, [c])])])
        return self._op("Mul", [self._op(f, [o]), self._op(h, [cell])]), cell

    def _gru(self, given: str, hidden: tuple[str, Array, Array], linear_before_reset: bool) -> tuple[str]:
        """Next hidden state; the reset gate acts on the product of the hidden state, or on that state before it."""
        f, g = self._activations
        h, r, bias = hidden
        n = self._hidden
        xz, xr, xh = self._split(given, 3)
        if linear_before_reset:
            hz, hr, hh = self._split(self._affine(h, r, bias, "hidden"), 3)
        else:
            hz, hr = self._split(self._affine(h, r[: 2 * n], bias[: 2 * n], "gates"), 2)
        z, reset = (self._op(f, [self._op("Add", pair)]) for pair in ([xz, hz], [xr, hr]))
        if linear_before_reset:
            inner = self._op("Mul", [reset, hh])
        else:
            inner = self._affine(self._op("Mul", [reset, h]), r[2 * n :], bias[2 * n :], "hidden")
        candidate = self._op(g, [self._op("Add", [xh, inner])])
        fresh = self._op("Mul", [self._op("Sub", [self._constant(np.ones((), self._dtype), "one"), z]), candidate])
        return (self._op("Add", [fresh, self._op("Mul", [z, h])]),)

    def _initial(self, name: str) -> str:
        """The state an operator starts from, `(batch, hidden)`; zeros where none is fed."""
        if name in self._inputs:
            return self._reshape(self._inputs[name], (self._batch, self._hidden))
        return self._constant(np.zeros((self._batch, self._hidden), self._dtype), name)

    def _give(self, outputs: Sequence[str], results: tuple[str, ...]) -> None:
        """Y, Y_h and Y_c in the operator's shapes, as far as they are wanted."""
        b, n = self._batch, self._hidden
        shapes = ((1, 1, b, n), (1, b, n), (1, b, n))
        for output, result, shape in zip(outputs, (results[0], *results), shapes, strict=False):
            if output:
                self._reshape(result, shape, output)

    def _affine(self, x: str, weights: Array, bias: Array, name: str) -> str:
        inputs = [x, self._constant(weights, f"{name}.weight"), self._constant(bias, f"{name}.bias")]
        return self._op("Gemm", inputs, transB=1)

    def _split(self, value: str, count: int) -> list[str]:
        outputs = [self._name(f"gate{index}") for index in range(count)]
        sizes = self._constant(np.full(count, self._hidden, np.int64), "sizes")
        self.nodes.append(helper.make_node("Split", [value, sizes], outputs, axis=1))
        return outputs

    def _reshape(self, value: str, shape: tuple[int, ...], output: str | None = None) -> str:
        return self._op("Reshape", [value, self._constant(np.array(shape, np.int64), "shape")], output)

    def _op(self, operator: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        name = output or self._name(operator.lower())
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def _constant(self, value: Array, name: str) -> str:
        full = self._name(name)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), full))
        return full

    def _name(self, name: str) -> str:
        full = unique(f"{self._base}.{name}", self._taken)
        self._taken.add(full)
        return full
