"""Kernels that were chosen when operators were lowered → the functions of the CUDA C library that do the same."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from tvm import tirx

from astroedge.targets.compiler.lower.lowerings.tables import EMBEDDING
from astroedge.targets.compiler.program.step_program import KernelCall
from astroedge.targets.kernels.cuda import norms
from astroedge.targets.kernels.cuda.products import embedding_row
from astroedge.targets.kernels.reduce import EPSILON, VECTORS
from astroedge.targets.precision.storage import storage_of_data

REDUCTIONS = ("sum", "mean", "max", "min")
SOFTMAXES = ("softmax", "log_softmax")


def in_library(call: KernelCall) -> KernelCall:
    """The call with a function of the library, or as it is where the library has none."""
    attributes = call.function.attrs
    if call.kind == EMBEDDING:
        return replace(call, function=_embedding(call))
    if attributes is None or VECTORS not in attributes:
        return call
    outer, width = (int(extent) for extent in attributes[VECTORS])
    function: tirx.PrimFunc | None = None
    if call.kind in REDUCTIONS and call.reads[0].dtype in norms.REDUCED:
        function = norms.reduce_last(call.kind, outer, width, call.reads[0].dtype)
    elif call.kind in SOFTMAXES:
        function = norms.softmax(outer, width, logarithm=call.kind == "log_softmax")
    elif EPSILON in attributes:
        function = norms.layer_norm(outer, width, float(attributes[EPSILON]), affine=len(call.reads) > 1)
    return call if function is None else replace(call, function=function)


def _embedding(call: KernelCall) -> tirx.PrimFunc:
    """The rows of a stored table, whose dtype tells how it is stored."""
    (indices, table), (result,) = call.reads[:2], call.writes
    count = prod(indices.shape)
    width = prod(result.shape) // count
    storage = storage_of_data(table.dtype)
    return embedding_row(count, prod(table.shape) // storage.data_size(width), width, storage, indices.dtype)
