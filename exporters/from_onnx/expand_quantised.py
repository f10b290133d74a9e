"""ONNX Runtime's own quantised operators (domain com.microsoft), as its quantiser writes them, in those of ONNX.

Each is the arithmetic that its document defines, in float32 and in the order of ONNX Runtime's kernels on x86. Its
kernel for QLinearAdd fuses multiplications with additions where the processor can, so that in rare cases a sum next to
a half is rounded the other way. A function of one 8-bit number is looked up in a table that ONNX Runtime computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import onnx
from onnx import helper, numpy_helper

from astroedge.errors import UnsupportedOpError
from astroedge.step.graph_index import GraphIndex, attributes, replace_items
from astroedge.step.node_builder import NodeBuilder
from astroedge.step.onnx_session import open_session
from astroedge.step.tensor_data import array_of

DOMAIN = "com.microsoft"
FLOAT, INT32 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT32
Array = np.ndarray[Any, np.dtype[Any]]


def expand_quantised(model: onnx.ModelProto) -> None:
    """Replace the quantised operators of ONNX Runtime in place.

    Raises UnsupportedOpError, which names the operator, for a scale or zero point that is computed, and for forms that
    are not written here.
    """
    index = GraphIndex(model.graph)
    stored = {name: array_of(tensor) for name, tensor in index.stored.items() if name in _scales(model)}
    nodes: list[onnx.NodeProto] = []
    taken = {*index.names}
    for node in model.graph.node:
        write = WRITERS.get(node.op_type) if node.domain == DOMAIN else None
        if write is None:
            nodes.append(node)
            continue
        call = _Call(node, stored, NodeBuilder(node, taken))
        write(call)
        nodes += call.builder.nodes
        model.graph.initializer.extend(call.builder.constants)
    replace_items(model.graph.node, nodes)


def _scales(model: onnx.ModelProto) -> set[str]:
    """What the replaced operators read, their scales among it."""
    return {name for node in model.graph.node if node.domain == DOMAIN for name in node.input}


@dataclass(frozen=True)
class _Call:
    """One operator, the constants that it may read, and where its replacement is written."""

    node: onnx.NodeProto
    stored: Mapping[str, Array]
    builder: NodeBuilder

    @property
    def options(self) -> dict[str, Any]:
        return attributes(self.node)

    def name(self, position: int) -> str:
        return self.node.input[position] if position < len(self.node.input) else ""

    def scale(self, position: int) -> np.float32:
        """A scale for a whole tensor."""
        return np.float32(self.constant(position).reshape(-1)[0])

    def constant(self, position: int) -> Array:
        if self.name(position) not in self.stored:
            self.refuse("a scale or zero point is computed at each tick; quantise again with constant ones")
        return self.stored[self.name(position)]

    def zero(self, position: int) -> Any:
        """A zero point as one number of its dtype."""
        if not self.name(position):
            self.refuse("a zero point is left out; quantise again with zero points")
        return self.constant(position).reshape(-1)[0]

    def refuse(self, reason: str) -> NoReturn:
        raise UnsupportedOpError(
            f"The graph's {self.node.op_type} that makes {self.node.output[0]!r} cannot be a step: {reason}."
        )

    def number(self, value: object, name: str = "scale") -> str:
        return self.builder.constant(np.asarray(value, np.float32), np.float32, name)

    def cast(self, name: str, to: int) -> str:
        return self.builder.op("Cast", [name], to=to)

    def dequantise(self, position: int) -> str:
        """An operand, whose scale and zero point follow it, in float32."""
        operands = [self.name(place) for place in range(position, position + 3) if self.name(place)]
        return self.builder.op("DequantizeLinear", operands)

    def quantise(self, value: str, position: int) -> None:
        """The result: a float32 value with the scale at `position` and the zero point after it."""
        operands = [value, *(self.name(place) for place in (position, position + 1) if self.name(place))]
        self.builder.op("QuantizeLinear", operands, self.node.output[0])

    def saturate(self, value: str, dtype: np.dtype[Any]) -> None:
        """The result: a float32 value rounded to the nearest integer inside the range of `dtype`."""
        zero = self.builder.constant(0, dtype, "zero")
        self.builder.op("QuantizeLinear", [value, self.number(1, "one"), zero], self.node.output[0])


def _add(call: _Call) -> None:
    """a · (A_scale / C_scale) + b · (B_scale / C_scale) + what the zero points make of it, rounded."""
    (a, a_zero), (b, b_zero) = ((call.name(place), call.zero(place + 2)) for place in (0, 3))
    left, right = call.scale(1) / call.scale(6), call.scale(4) / call.scale(6)
    fixed = np.float32(call.zero(7)) - (left * np.float32(a_zero) + right * np.float32(b_zero))
    scaled = [
        call.builder.op("Mul", [call.cast(name, FLOAT), call.number(ratio)]) for name, ratio in ((a, left), (b, right))
    ]
    moved = call.builder.op("Add", [scaled[1], call.number(fixed, "fixed")])
    call.saturate(call.builder.op("Add", [scaled[0], moved]), call.zero(7).dtype)


def _mul(call: _Call) -> None:
    """(a − A_zero) · (b − B_zero) · (A_scale · B_scale / C_scale) + C_zero, rounded."""
    sides = [
        call.builder.op("Sub", [call.cast(call.name(place), FLOAT), call.number(call.zero(place + 2), "zero")])
        for place in (0, 3)
    ]
    ratio = call.scale(1) * call.scale(4) / call.scale(6)
    product = call.builder.op("Mul", [call.builder.op("Mul", sides), call.number(ratio)])
    moved = call.builder.op("Add", [product, call.number(call.zero(7), "zero")])
    call.saturate(moved, call.zero(7).dtype)


def _table(call: _Call) -> None:
    """A function of one number of 8 bits that each runtime rounds in its own way: all 256 results."""
    dtype = call.zero(4).dtype
    codes = np.arange(256).astype(np.uint8).view(dtype)
    node = onnx.NodeProto()
    node.CopyFrom(call.node)
    node.input[0], node.output[0] = "codes", "results"
    constants = {name: call.constant(place) for place, name in enumerate(node.input) if place and name}
    graph = helper.make_graph(
        [node],
        "table",
        [helper.make_tensor_value_info("codes", helper.np_dtype_to_tensor_dtype(dtype), [256])],
        [onnx.ValueInfoProto(name="results")],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)]
    results = open_session(helper.make_model(graph, opset_imports=opsets, ir_version=9)).run(None, {"codes": codes})[0]
    if dtype == np.int8:
        results = np.roll(results, 128)
    place = call.cast(call.name(0), INT32)
    if dtype == np.int8:
        place = call.builder.op("Add", [place, call.builder.constant(128, np.int32, "first")])
    table = call.builder.constant(results, dtype, "table")
    call.builder.op("Gather", [table, place], call.node.output[0])


def _leaky_relu(call: _Call) -> None:
    """The function of what the numbers stand for, quantised."""
    call.quantise(call.builder.op("LeakyRelu", [call.dequantise(0)], alpha=call.options.get("alpha", 0.01)), 3)


def _concat(call: _Call) -> None:
    """Operands beside each other, those of another scale or zero point quantised again."""
    scale, zero = call.scale(0), call.zero(1)
    parts = []
    for place in range(2, len(call.node.input), 3):
        if call.scale(place + 1) == scale and call.zero(place + 2) == zero:
            parts.append(call.name(place))
        else:
            operands = [call.dequantise(place), call.name(0), call.name(1)]
            parts.append(call.builder.op("QuantizeLinear", operands))
    call.builder.op("Concat", parts, call.node.output[0], axis=call.options["axis"])


def _average_pool(call: _Call) -> None:
    """The average of what the numbers stand for, quantised."""
    options = call.options
    if options.pop("channels_last", 0):
        call.refuse("its channels come last; quantise the model without a change of layout")
    call.quantise(call.builder.op("AveragePool", [call.dequantise(0)], **options), 3)


def _softmax(call: _Call) -> None:
    """The softmax of what the numbers stand for, times ⌊1 / Y_scale⌋, plus Y_zero, rounded."""
    options = call.options
    if options["opset"] < 13:
        call.refuse("it is that of an operator set below 13, over several axes; convert the model before quantising it")
    shares = call.builder.op("Softmax", [call.dequantise(0)], axis=options.get("axis", -1))
    levels = call.number(np.floor(np.float32(1) / call.scale(3)), "levels")
    rounded = call.builder.op("Round", [call.builder.op("Mul", [shares, levels])])
    call.saturate(call.builder.op("Add", [rounded, call.number(call.zero(4), "zero")]), call.zero(4).dtype)


def _gemm(call: _Call) -> None:
    """alpha · A_scale · B_scale times integer sums and bias: float32, or quantised where there is a Y_scale."""
    options = call.options
    sides = [
        call.builder.op("Transpose", [call.name(place)], perm=[1, 0]) if options.get(flag) else call.name(place)
        for place, flag in ((0, "transA"), (3, "transB"))
    ]
    sums = call.builder.op("MatMulInteger", [*sides, call.name(2), call.name(5)])
    if call.name(6):
        sums = call.builder.op("Add", [sums, call.name(6)])
    factor = np.float32(options.get("alpha", 1.0)) * call.scale(1) * call.constant(4).astype(np.float32)
    if not call.name(7):
        call.builder.op("Mul", [call.cast(sums, FLOAT), call.number(factor)], call.node.output[0])
        return
    scaled = call.builder.op("Mul", [call.cast(sums, FLOAT), call.number(factor / call.scale(7))])
    rounded = call.builder.op("Round", [scaled])
    call.saturate(call.builder.op("Add", [rounded, call.number(call.zero(8), "zero")]), call.zero(8).dtype)


def _to_float(call: _Call) -> None:
    """MatMulIntegerToFloat: integer sums times both scales, and a bias."""
    a, b, a_scale, b_scale, a_zero, b_zero, bias = (call.name(place) for place in range(7))
    _scaled_sums(call, (a, b, a_zero, b_zero), (a_scale, b_scale), bias)


def _dynamic(call: _Call) -> None:
    """DynamicQuantizeMatMul: the same of a left operand that is quantised at each tick."""
    a, b, b_scale, b_zero, bias = (call.name(place) for place in range(5))
    names = [call.builder.name(name) for name in ("quantised", "scale", "zero")]
    quantised, scale, zero = call.builder.ops("DynamicQuantizeLinear", [a], names)
    _scaled_sums(call, (quantised, b, zero, b_zero), (scale, b_scale), bias)


def _scaled_sums(call: _Call, operands: tuple[str, ...], scales: tuple[str, str], bias: str) -> None:
    while not operands[-1]:
        operands = operands[:-1]
    sums = call.cast(call.builder.op("MatMulInteger", list(operands)), FLOAT)
    factor = call.builder.op("Mul", list(scales))
    product = call.builder.op("Mul", [sums, factor], None if bias else call.node.output[0])
    if bias:
        call.builder.op("Add", [product, bias], call.node.output[0])


WRITERS: dict[str, Callable[[_Call], None]] = {
    "DynamicQuantizeMatMul": _dynamic,
    "MatMulIntegerToFloat": _to_float,
    "QGemm": _gemm,
    "QLinearAdd": _add,
    "QLinearAveragePool": _average_pool,
    "QLinearConcat": _concat,
    "QLinearLeakyRelu": _leaky_relu,
    "QLinearMul": _mul,
    "QLinearSigmoid": _table,
    "QLinearSoftmax": _softmax,
}
