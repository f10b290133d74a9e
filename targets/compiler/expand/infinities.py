"""Operators that TVM has for finite numbers alone: a product with 0 or a difference makes NaN of infinities."""

from __future__ import annotations

import numpy as np

from astroedge.step.node_builder import NodeBuilder
from astroedge.targets.compiler.expand.expansion import Call, Rule


def thresholded_relu(call: Call, builder: NodeBuilder) -> bool:
    """ThresholdedRelu: a choice between x and 0."""
    threshold = builder.constant(call.options.get("alpha", 1.0), call.dtype())
    above = builder.op("Greater", [call.input(0), threshold])
    builder.op("Where", [above, call.input(0), builder.constant(0, call.dtype())], call.output(0))
    return True


def log_sum_exp(call: Call, builder: NodeBuilder) -> bool:
    """ReduceLogSumExp: log Σ exp(x − m) + m, m the largest element, or 0 where that is infinite."""
    rank, given = len(call.shape()), call.constant(1)
    if call.input(1) and given is None:
        return False
    axes = [int(axis) % rank for axis in (call.options.get("axes", ()) if given is None else given)]
    if not axes and call.options.get("noop_with_empty_axes", 0):
        return False
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


RULES: dict[str, Rule] = {"ReduceLogSumExp": log_sum_exp, "ThresholdedRelu": thresholded_relu}
