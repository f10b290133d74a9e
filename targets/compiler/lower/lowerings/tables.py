"""Rows of a stored table."""

from __future__ import annotations

from math import prod

from tvm import relax

from astroedge.targets.compiler.lower.lowerings.relax_calls import (
    call_kernel,
    is_constant,
    numbers_of,
    shape_of,
    stored,
)
from astroedge.targets.kernels.lookup import lookup
from astroedge.targets.kernels.products.embedding import embedding_row, pack_embedding
from astroedge.targets.precision.quantise_weights import StoredWeights

WEIGHT_ATTRIBUTE = "astroedge.weight"  # the key of the stored matrix whose transpose an embedding kernel reads
EMBEDDING = "embedding"


def lower_take(weights: StoredWeights, builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """Rows of a stored table, and numbers of a stored list; anything else is left to TVM's own lowering.

    TVM's is fused with what makes the indices; inside an address the simplifier would take long over that.
    """
    table, indices = call.args
    found = None
    if is_constant(table) and len(shape_of(table)) == 1 and call.attrs.mode == "clip" and not is_constant(indices):
        dtypes = str(table.ty.dtype.dtype), str(indices.ty.dtype.dtype)
        function = lookup(prod(shape_of(indices)), shape_of(table)[0], *dtypes)
        return call_kernel(builder, function, "lookup", [indices, table], shape_of(call), dtypes[0])
    if is_constant(table) and len(shape_of(table)) == 2 and call.attrs.axis == 0 and str(table.ty.dtype) == "float32":
        found = weights.find(numbers_of(table).T)
    if found is None or call.attrs.mode != "clip":
        return call.op.get_attr("FLegalize")(builder, call)
    key, form = found
    entries, width = shape_of(table)
    operands = [indices, *(stored(array) for array in pack_embedding(form) if array is not None)]
    function = embedding_row(
        prod(shape_of(indices)), entries, width, storage=form.storage, index_dtype=str(indices.ty.dtype)
    )
    return call_kernel(
        builder, function.with_attr(WEIGHT_ATTRIBUTE, key), EMBEDDING, operands, shape_of(call), "float32"
    )
