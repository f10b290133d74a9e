"""How far two correct float32 runs of a step may differ: nodes that compute each value's largest operand beside it.

Two runtimes that add in different orders differ by a few units in the last place of the largest number that went into
the sum, not of the sum, which may be small because large numbers cancelled. What a value may differ by is therefore
measured by the largest operand of the sum that made it, element by element. The largest operand of

    a + b, a − b                  is the larger of a's and b's
    a · b                         is the larger of a's times |b| and b's times |a|
    a / b                         is a's over |b|
    x W (MatMul, Gemm, Conv)      is the largest |x| of the row times the largest |W| of the column, |bias| or |x W|
    sum or mean of x              is the largest among the elements summed, or the result
    Einsum                        is the product of the largest along the axes that are summed away, or the result
    BatchNormalization            is the same with every term's magnitude, or the result
    largest, mean of a window     is the window's of the largest operands, or the result
    what moves elements about     is moved about in the same way (Reshape, Transpose, Slice, Concat, Where …)
    ReLU, clip, −x, |x|           is that of their input, because they enlarge no error
    tanh, sigmoid                 is that of their input times their slope, or their own magnitude
    functions, normalisations …   is how far it moves with its operands, or its own magnitude (`slope_bounds`)

(The results of long sums count because the last additions have numbers as large for operands.)

Of anything else, a state or an input for example, it is its own magnitude, and so it is behind a jump (Floor, Sign):
there an error is enlarged without bound or not at all. What these rules do not cover float64 decides
(`astroedge.runtimes.checking.third_opinion`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np

from astroedge.host_package import require
from astroedge.runtimes.checking.einsum_terms import einsum_terms
from astroedge.runtimes.checking.slope_bounds import SlopeRule
from astroedge.step.graph_index import GraphIndex, attributes, infer_types
from astroedge.step.operator_facts import ErrorBound
from astroedge.step.operators import operator
from astroedge.step.tensor_data import array_of

if TYPE_CHECKING:
    import onnx
    from onnx import helper, numpy_helper
else:
    onnx = require("onnx", "comparing with ONNX Runtime")
    helper = require("onnx.helper", "comparing with ONNX Runtime")
    numpy_helper = require("onnx.numpy_helper", "comparing with ONNX Runtime")

FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)


class Magnitudes:
    """Adds to a graph, on request, the nodes that compute the largest operand of a float value.

    The nodes collect in `nodes` and their constants in `constants`, to be put at the end of the graph of `model`, which
    itself is not changed.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        """Index what `model` computes. Raises GraphError if it is not valid ONNX."""
        index, types = GraphIndex(model.graph), infer_types(model)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._makers, self._stored = index.makers, index.initialisers
        self._elements, self._ranks, self._shapes = types.elements, types.ranks, types.shapes
        self._known: dict[str, str] = {}
        self._reduces_by_input = (
            max(item.version for item in model.opset_import if item.domain in ("", "ai.onnx")) >= 18
        )

    def is_float(self, value: str) -> bool:
        """Whether `value` holds floating-point numbers; a value of unknown type does not."""
        return self._elements.get(value) in FLOATS

    def of(self, value: str) -> str:
        """Name of the value that holds, for each element of `value`, its largest operand; same shape, same dtype."""
        if value not in self._known:
            rule = self._rule(value)
            self._known[value] = rule(self._makers[value]) if rule else self._emit("Abs", [value])
        return self._known[value]

    def _rule(self, value: str) -> Callable[[onnx.NodeProto], str] | None:
        """How to follow the sum that makes `value`; None when there is none to follow."""
        node = self._makers.get(value)
        if node is None or node.domain not in ("", "ai.onnx") or not self.is_float(value):
            return None
        rules: dict[ErrorBound, Callable[[onnx.NodeProto], str]] = {
            **{"addition": self._addition, "preserving": self._preserving, "product": self._product},
            **{"quotient": self._quotient, "matmul": self._matmul, "gemm": self._gemm},
            **{"convolution": self._convolution, "tanh": self._tanh, "sigmoid": self._sigmoid},
            **{"contraction": self._contraction, "normalisation": self._normalisation, "window": self._window},
            **{"slope": self._slope(value), "reduction": self._slope(value)},
        }
        bound = operator(node.op_type).bound
        if self._reduces_by_input:
            rules["reduction"] = self._window
        if bound == "movement" and all(self.is_float(item) for item in self._moved(node)):
            rules["movement"] = self._movement(value)
        return rules.get(bound)

    def _addition(self, node: onnx.NodeProto) -> str:
        return self._emit("Max", [self.of(item) for item in node.input])

    def _preserving(self, node: onnx.NodeProto) -> str:
        follows = self._rule(node.input[0]) is not None
        return self.of(node.input[0]) if follows else self._size(node.output[0])

    def _tanh(self, node: onnx.NodeProto) -> str:
        """|y| or the input's largest operand times the slope 1 − y²."""
        value = node.output[0]
        slope = self._emit("Sub", [self._constant(1.0, value), self._emit("Mul", [value, value])])
        return self._emit("Max", [self._size(value), self._emit("Mul", [slope, self.of(node.input[0])])])

    def _sigmoid(self, node: onnx.NodeProto) -> str:
        """|y| or the input's largest operand times the slope y − y²."""
        value = node.output[0]
        slope = self._emit("Sub", [value, self._emit("Mul", [value, value])])
        return self._emit("Max", [self._size(value), self._emit("Mul", [slope, self.of(node.input[0])])])

    def _product(self, node: onnx.NodeProto) -> str:
        left, right = node.input
        terms = [self._emit("Mul", [self.of(left), self._size(right)])]
        if left != right:
            terms.append(self._emit("Mul", [self._size(left), self.of(right)]))
        return self._emit("Max", terms)

    def _quotient(self, node: onnx.NodeProto) -> str:
        return self._emit("Div", [self.of(node.input[0]), self._size(node.input[1])])

    def _matmul(self, node: onnx.NodeProto) -> str:
        left, right = node.input
        if min(self._rank(left), self._rank(right)) < 2:
            return self._largest_product(node, node.input)
        bound = self._emit("Mul", [self._largest(left, -1), self._largest(right, -2)])
        return self._emit("Max", [self._size(node.output[0]), bound])

    def _gemm(self, node: onnx.NodeProto) -> str:
        options = attributes(node)
        row = self._largest(node.input[0], 0 if options.get("transA", 0) else 1)
        column = self._largest(node.input[1], 1 if options.get("transB", 0) else 0)
        if options.get("transA", 0):
            row = self._emit("Transpose", [row])
        if options.get("transB", 0):
            column = self._emit("Transpose", [column])
        alpha = self._constant(np.abs(options.get("alpha", 1.0)), node.input[0])
        terms = [self._size(node.output[0]), self._emit("Mul", [self._emit("Mul", [row, column]), alpha])]
        if len(node.input) > 2 and node.input[2]:
            beta = self._constant(np.abs(options.get("beta", 1.0)), node.input[0])
            terms.append(self._emit("Mul", [self._size(node.input[2]), beta]))
        return self._emit("Max", terms)

    def _convolution(self, node: onnx.NodeProto) -> str:
        biases = [self._largest(bias, None) for bias in node.input[2:] if bias]
        return self._emit("Max", [self._largest_product(node, node.input[:2]), *biases])

    def _contraction(self, node: onnx.NodeProto) -> str:
        """The operands without what is summed away, multiplied: an Einsum again, in which nothing is summed."""
        equation = attributes(node)["equation"].decode()
        if "..." in equation:
            return self._largest_product(node, node.input)
        terms, result = einsum_terms(equation)
        kept, largest = [], []
        for term, item in zip(terms, node.input, strict=True):
            size = self._size(item)
            for place, letter in reversed(list(enumerate(term))):
                size = size if letter in result else self._reduced(size, place)
            largest.append(size)
            kept.append("".join(letter for letter in term if letter in result))
        product = self._copy(node, "Einsum", largest)
        del self.nodes[-1].attribute[:]
        self.nodes[-1].attribute.append(helper.make_attribute("equation", f"{','.join(kept)}->{result}"))
        return self._emit("Max", [self._size(node.output[0]), product])

    def _reduced(self, value: str, axis: int) -> str:
        """The largest of a magnitude along an axis that is gone afterwards."""
        reduced = self._emit("ReduceMax", [value])
        self.nodes[-1].attribute.append(helper.make_attribute("keepdims", 0))
        if self._reduces_by_input:
            self.nodes[-1].input.append(self._axes(axis))
        else:
            self.nodes[-1].attribute.append(helper.make_attribute("axes", [axis]))
        return reduced

    def _largest_product(self, node: onnx.NodeProto, operands: Sequence[str]) -> str:
        """The largest of all elements of each operand, multiplied."""
        product = self._largest(operands[0], None)
        for item in operands[1:]:
            product = self._emit("Mul", [product, self._largest(item, None)])
        return self._emit("Max", [self._size(node.output[0]), product])

    def _normalisation(self, node: onnx.NodeProto) -> str:
        """(x − mean) / deviation · scale + bias, with the magnitude of every term."""
        x, scale, bias, mean, variance = node.input
        below = self._emit("Neg", [self._size(mean)])
        terms = [self.of(x), self._size(scale), self._size(bias), below, variance]
        return self._emit("Max", [self._size(node.output[0]), self._copy(node, node.op_type, terms)])

    def _window(self, node: onnx.NodeProto) -> str:
        """The largest or the mean of the largest operands in the window, of a sum over axes the largest."""
        kind = "ReduceMax" if node.op_type.startswith("Reduce") else node.op_type
        within = self._copy(node, kind, [self.of(node.input[0]), *node.input[1:]])
        return self._emit("Max", [self._size(node.output[0]), within])

    def _slope(self, value: str) -> Callable[[onnx.NodeProto], str]:
        """How far `value` moves with the operands of its node."""

        def move(node: onnx.NodeProto) -> str:
            moved = [item for item in node.input if self.is_float(item) and item not in self._stored]
            magnitudes = {item: self.of(item) for item in moved}
            rule = SlopeRule(len(self.nodes), node, value, self._elements[value])
            terms = rule.follow(magnitudes, self._shapes)
            self.nodes += rule.nodes
            self.constants += rule.constants
            return self._emit("Max", [self._size(value), *terms])

        return move

    def _moved(self, node: onnx.NodeProto) -> list[str]:
        """The inputs of a moving operator that hold elements."""
        positions = operator(node.op_type).elements
        return list(node.input) if positions is None else [node.input[position] for position in positions]

    def _movement(self, value: str) -> Callable[[onnx.NodeProto], str]:
        """Move the largest operands as the elements are moved; `value` tells which output of the node is wanted."""

        def move(node: onnx.NodeProto) -> str:
            moved = self._moved(node)
            inputs = [self.of(item) if item in moved else item for item in node.input]
            outputs = [f"magnitude.{len(self.nodes)}.{index}" for index in range(len(node.output))]
            self._copy(node, node.op_type, inputs, outputs)
            return outputs[list(node.output).index(value)]

        return move

    def _rank(self, value: str) -> int:
        """Number of axes, 0 when unknown."""
        return self._ranks.get(value, 0)

    def _size(self, value: str) -> str:
        """|value|, computed once; of a stored tensor when the graph is built."""
        name = f"magnitude.size.{value}"
        if name not in self._known:
            self._known[name] = name
            if value in self._stored:
                self._store(name, np.abs(array_of(self._stored[value])))
            else:
                self.nodes.append(helper.make_node("Abs", [value], [name]))
        return name

    def _largest(self, value: str, axis: int | None) -> str:
        """The largest |value| along `axis`, kept as an axis of 1, or of all elements, as an array of one per axis."""
        name = f"magnitude.largest.{axis}.{value}"
        if name in self._known:
            return name
        self._known[name] = name
        if value in self._stored:
            whole = np.abs(array_of(self._stored[value]))
            self._store(name, whole.max() if axis is None else whole.max(axis=axis, keepdims=True))
        else:
            reduction = helper.make_node("ReduceMax", [self._size(value)], [name], keepdims=int(axis is not None))
            if axis is not None and self._reduces_by_input:
                reduction.input.append(self._axes(axis))
            elif axis is not None:
                reduction.attribute.append(helper.make_attribute("axes", [axis]))
            self.nodes.append(reduction)
        return name

    def _axes(self, axis: int) -> str:
        name = f"magnitude.axis.{axis}"
        if name not in self._known:
            self._known[name] = name
            self._store(name, np.array([axis], np.int64))
        return name

    def _constant(self, number: float, like: str) -> str:
        """A stored scalar in the dtype of `like`."""
        name = f"magnitude.constant.{len(self.constants)}"
        self._store(name, np.asarray(number, helper.tensor_dtype_to_np_dtype(self._elements[like])))
        return name

    def _store(self, name: str, array: np.ndarray) -> None:
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))

    def _emit(self, kind: str, inputs: Sequence[str]) -> str:
        """Append a node with one output and return the output's name."""
        output = f"magnitude.{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output]))
        return output

    def _copy(
        self, node: onnx.NodeProto, kind: str, inputs: Sequence[str], outputs: Sequence[str] | None = None
    ) -> str:
        """Append a node like `node` with other inputs and outputs and return its first output's name."""
        copy = deepcopy(node)
        copy.op_type, copy.name = kind, ""
        names = list(outputs or [f"magnitude.{len(self.nodes)}"])
        copy.input[:], copy.output[:] = inputs, names
        self.nodes.append(copy)
        return names[0]
