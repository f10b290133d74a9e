"""Sums, extremes and their places."""

from __future__ import annotations

from math import prod

from tvm import relax

from astroedge.step.operators import relax_operators
from astroedge.targets.compiler.lower.lowerings.relax_calls import call_kernel, reshape, shape_of
from astroedge.targets.kernels.arg_reduce import arg_reduce
from astroedge.targets.kernels.reduce import reduce_last


def lower_reduction(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """sum, mean, max and min over the last axes; other axes are moved last first."""
    operand = call.args[0]
    shape = shape_of(operand)
    axes = range(len(shape)) if call.attrs.axis is None else sorted(int(axis) % len(shape) for axis in call.attrs.axis)
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    order = [*kept, *axes]
    if order != list(range(len(shape))):
        operand = builder.emit(relax.op.permute_dims(operand, order))
    width = prod(shape[axis] for axis in axes)
    kind = call.op.name.removeprefix("relax.")
    function = reduce_last(kind, prod(shape) // width, width, str(operand.ty.dtype))
    out = tuple(1 if axis in axes else extent for axis, extent in enumerate(shape))
    if not call.attrs.keepdims:
        out = tuple(shape[axis] for axis in kept)
    return call_kernel(builder, function, kind, [operand], out, str(operand.ty.dtype))


def lower_arg_reduction(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """argmax and argmin over one axis, which is moved last first, or over all elements."""
    operand = call.args[0]
    if call.attrs.axis is None:
        operand = reshape(builder, operand, (prod(shape_of(operand)),))
    shape = shape_of(operand)
    axis = (len(shape) - 1 if call.attrs.axis is None else int(call.attrs.axis)) % len(shape)
    if axis != len(shape) - 1:
        order = [*(other for other in range(len(shape)) if other != axis), axis]
        operand = builder.emit(relax.op.permute_dims(operand, order))
    kind = call.op.name.removeprefix("relax.")
    function = arg_reduce(kind, prod(shape) // shape[axis], shape[axis], str(operand.ty.dtype.dtype))
    return call_kernel(builder, function, kind, [operand], shape_of(call), "int64")


LOWERINGS = {
    **dict.fromkeys(relax_operators(lambda row: row.kind == "reduction"), lower_reduction),
    **dict.fromkeys(relax_operators(lambda row: row.kind == "arg reduction"), lower_arg_reduction),
}
