"""Reductions of forms that TVM's importer gets wrong: over no axis, and of Booleans."""

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


RULES: dict[str, Rule] = {
    **dict.fromkeys(OF_ONE, over_no_axis),
    **dict.fromkeys(("ReduceMax", "ReduceMin"), of_booleans),
}
