"""Reductions of forms that TVM's importer gets wrong: over no axis, of Booleans, of infinities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto

from astroedge.step.node_builder import NodeBuilder
from astroedge.targets.compiler.expand.expansion import Call, Rule, refuse


def _square(call: Call, builder: NodeBuilder) -> None:
    builder.op("Mul", [call.input(0), call.input(0)], call.output(0))


def _alone(kind: str) -> Callable[[Call, NodeBuilder], None]:
    """A reduction of one element at a time as an operator of one operand."""

    def write(call: Call, builder: NodeBuilder) -> None:
        builder.op(kind, [call.input(0)], call.output(0))

    return write


OF_ONE = {
    **{"ReduceL1": _alone("Abs"), "ReduceL2": _alone("Abs"), "ReduceLogSum": _alone("Log")},
    **{"ReduceLogSumExp": _alone("Identity"), "ReduceSumSquare": _square},
}


def over_no_axis(call: Call, builder: NodeBuilder) -> bool:
    """With noop_with_empty_axes and no axes: what the reduction makes of every element alone."""
    if call.node.op_type == "ReduceL2" and call.dtype().kind in "iu":
        refuse(call, f"{call.dtype()}, whose root would have to be a whole number")
    axes = call.constant(1)
    if not call.options.get("noop_with_empty_axes") or (call.input(1) and (axes is None or axes.size)):
        return False
    OF_ONE[call.node.op_type](call, builder)
    return True


def of_booleans(call: Call, builder: NodeBuilder) -> bool:
    """The largest or smallest of Booleans, as that of numbers."""
    if call.dtype() != np.bool_:
        return False
    numbers = builder.op("Cast", [call.input(0)], to=TensorProto.UINT8)
    found = builder.op(call.node.op_type, [numbers, *call.node.input[1:]], **call.options)
    builder.op("Cast", [found], call.output(0), to=TensorProto.BOOL)
    return True


def log_sum_exp(call: Call, builder: NodeBuilder) -> bool:
    """ReduceLogSumExp: log Σ exp(x − m) + m, m the largest element, or 0 where that is infinite.

    Without that 0 a difference of infinities would make NaN.
    """
    if over_no_axis(call, builder):
        return True
    rank, given = len(call.shape()), call.constant(1)
    if call.input(1) and given is None:
        return False
    axes = [int(axis) % rank for axis in (call.options.get("axes", ()) if given is None else given)]
    axes = axes or list(range(rank))
    dtype = call.dtype()
    largest = _reduced(call, builder, "ReduceMax", call.input(0), axes)
    size = builder.op("Abs", [largest])
    finite = builder.op("Less", [size, builder.constant(np.inf, dtype)])
    shift = builder.op("Where", [finite, largest, builder.constant(0, dtype)])
    powers = builder.op("Exp", [builder.op("Sub", [call.input(0), shift])])
    total = _reduced(call, builder, "ReduceSum", powers, axes)
    result = builder.op("Add", [builder.op("Log", [total]), shift])
    kept = [1 if axis in axes else extent for axis, extent in enumerate(call.shape())]
    shape = kept if call.options.get("keepdims", 1) else [kept[axis] for axis in range(rank) if axis not in axes]
    builder.op("Reshape", [result, builder.constant(shape, np.int64)], call.output(0))
    return True


def _reduced(call: Call, builder: NodeBuilder, kind: str, value: str, axes: list[int]) -> str:
    """A reduction that keeps its axes; how ONNX writes them depends on the operator set."""
    if call.opset >= (13 if kind == "ReduceSum" else 18):
        return builder.op(kind, [value, builder.constant(axes, np.int64, "axes")], keepdims=1)
    return builder.op(kind, [value], axes=axes, keepdims=1)


RULES: dict[str, Rule] = {
    **dict.fromkeys(OF_ONE, over_no_axis),
    "ReduceLogSumExp": log_sum_exp,
    **dict.fromkeys(("ReduceMax", "ReduceMin"), of_booleans),
}
