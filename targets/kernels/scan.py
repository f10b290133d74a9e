"""Sums of all elements up to each one, along one axis: each is the one before it plus one element, in that order."""

from __future__ import annotations

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.tir_builder import Expression, in_vectors, kernel, load, store, zero


def cumulative_sum(outer: int, width: int, inner: int, exclusive: bool, dtype: str) -> tirx.PrimFunc:
    """Kernel (x, y): y[o, i, n] = the sum of x[o, j, n] over j ≤ i, or j < i if `exclusive`, in ascending order.

    `x` and `y`: (outer·width·inner,) of `dtype`.
    """
    size = outer * width * inner
    with kernel("cumulative_sum") as built:
        x = built.argument("x", (size,), dtype)
        y = built.argument("y", (size,), dtype)

        def columns(start: Expression, lanes: int) -> None:
            total = tir.alloc_buffer((lanes,), dtype)
            store(total, 0, lanes, zero(dtype, lanes) if exclusive else load(x, start, lanes))
            store(y, start, lanes, load(total, 0, lanes))
            with tir.serial(0, width - 1) as index:
                place = start + index * inner  # of the element before
                new = place if exclusive else place + inner
                store(total, 0, lanes, load(total, 0, lanes) + load(x, new, lanes))
                store(y, place + inner, lanes, load(total, 0, lanes))

        with tir.serial(0, outer) as row:
            start = row * (width * inner)
            in_vectors(inner, lambda offset, lanes, start=start: columns(start + offset, lanes))
    return built.function
