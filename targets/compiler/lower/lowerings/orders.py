"""Sorting, and sums of all elements up to each one."""

from __future__ import annotations

from math import prod

from tvm import relax

from astroedge.targets.compiler.lower.lowerings.relax_calls import (
    call_kernel,
    call_kernel_of_several,
    reshape,
    shape_of,
)
from astroedge.targets.kernels.scan import cumulative_sum
from astroedge.targets.kernels.sort import key_dtype, scratch_sizes, top_k
from astroedge.targets.pass_list import UnknownForm


def lower_top_k(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """topk over the last axis, where the rules of `expand/` put it: values, then places."""
    operand = call.args[0]
    shape, dtype = shape_of(operand), str(operand.ty.dtype.dtype)
    if int(call.attrs.axis) % len(shape) != len(shape) - 1:
        raise UnknownForm(f"TopK over axis {call.attrs.axis} of {shape} has no kernel; sort along the last axis.")
    width, count = shape[-1], int(call.attrs.k)
    function = top_k(prod(shape[:-1]), width, count, bool(call.attrs.largest), dtype)
    keys, places = scratch_sizes(width, count)
    result = (*shape[:-1], count)
    arrays: list[tuple[tuple[int, ...], str]] = [(result, dtype), (result, "int64")]
    arrays += [((keys,), key_dtype(dtype)), ((places,), "int32")]
    return call_kernel_of_several(builder, function, "sort", [operand], arrays)


def lower_cumulative_sum(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """cumsum along one axis, or over all elements."""
    operand = call.args[0]
    if call.attrs.axis is None:
        operand = reshape(builder, operand, (prod(shape_of(operand)),))
    shape, dtype = shape_of(operand), str(operand.ty.dtype.dtype)
    axis = int(call.attrs.axis or 0) % len(shape)
    function = cumulative_sum(
        prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :]), bool(call.attrs.exclusive), dtype
    )
    return call_kernel(builder, function, "cumulative_sum", [operand], shape_of(call), dtype)


LOWERINGS = {"relax.topk": lower_top_k, "relax.cumsum": lower_cumulative_sum}
