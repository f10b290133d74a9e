"""Sorting along any axis, and products of all elements up to each one."""

from __future__ import annotations

import numpy as np

from astroedge.step.node_builder import NodeBuilder
from astroedge.targets.compiler.expand.expansion import Call, Rule, reduce_axis


def top_k(call: Call, builder: NodeBuilder) -> bool:
    """TopK along the last axis and in order: where nobody asks for an order, any will do."""
    rank = len(call.shape())
    axis, ordered = int(call.options.get("axis", -1)) % rank, bool(call.options.get("sorted", 1))
    if call.constant(1) is None or (axis == rank - 1 and ordered):
        return False
    values, indices = (name or builder.name("unread") for name in (call.output(0), call.output(1)))
    options = {"axis": -1, "sorted": 1, "largest": call.options.get("largest", 1)}
    if axis == rank - 1:
        builder.ops("TopK", list(call.node.input), [values, indices], **options)
        return True
    order = [*range(axis), *range(axis + 1, rank), axis]
    moved = builder.op("Transpose", [call.input(0)], perm=order)
    results = [builder.name("values"), builder.name("indices")]
    builder.ops("TopK", [moved, call.input(1)], results, **options)
    for result, name in zip(results, (values, indices), strict=True):
        builder.op("Transpose", [result], name, perm=np.argsort(order).tolist())
    return True


def cumulative_product(call: Call, builder: NodeBuilder) -> bool:
    """CumProd: for each element the product of its row with 1 in place of what does not count."""
    given = call.constant(1)
    if given is None:
        return False
    shape = call.shape()
    axis = int(given.reshape(-1)[0]) % len(shape)
    extent, dtype = shape[axis], call.dtype()
    numbers = np.arange(extent)
    first, last = numbers[:, None], numbers[None, :]  # axis 0 of the table is the element, axis 1 its product
    if call.options.get("reverse", 0):
        first, last = last, first
    counts = first < last if call.options.get("exclusive", 0) else first <= last
    wanted = counts.reshape(*(1 for _ in shape[:axis]), extent, extent, *(1 for _ in shape[axis + 1 :]))
    column = builder.op("Unsqueeze", [call.input(0), builder.constant([axis + 1], np.int64)])
    one = builder.constant(1, dtype)
    masked = builder.op("Where", [builder.constant(wanted, np.bool_), column, one])
    reduce_axis(call, builder, "ReduceProd", masked, axis, call.output(0))
    return True


RULES: dict[str, Rule] = {"CumProd": cumulative_product, "TopK": top_k}
