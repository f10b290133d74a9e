"""Writes at computed places."""

from __future__ import annotations

from math import prod

from tvm import relax

from astroedge.targets.compiler.lower.lowerings.relax_calls import call_kernel, shape_of
from astroedge.targets.kernels.scatter import scatter_elements, scatter_slices


def lower_scatter_elements(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """scatter_elements: each update at its own point, but for one axis."""
    data, indices, _ = call.args
    shape, places = shape_of(data), shape_of(indices)
    axis, reduction = int(call.attrs.axis) % len(shape), str(call.attrs.reduction)
    function = scatter_elements(shape, places, axis, reduction, _dtype(data), _dtype(indices))
    return call_kernel(builder, function, "scatter", list(call.args), shape, _dtype(data))


def lower_scatter_nd(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """scatter_nd: each slice of the updates at the place on the first axes that the last axis of the indices gives."""
    data, indices, _ = call.args
    shape, (*counts, depth) = shape_of(data), shape_of(indices)
    function = scatter_slices(shape, prod(counts), depth, str(call.attrs.reduction), _dtype(data), _dtype(indices))
    return call_kernel(builder, function, "scatter", list(call.args), shape, _dtype(data))


def _dtype(value: relax.Expr) -> str:
    return str(value.ty.dtype.dtype)


LOWERINGS = {"relax.scatter_elements": lower_scatter_elements, "relax.scatter_nd": lower_scatter_nd}
