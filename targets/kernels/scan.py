"""Sums of all elements up to each one, along one axis: each is the one before it plus one element, in that order."""

from __future__ import annotations

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.tir_builder import FORM, Expression, chunks, independent, kernel, load, store, tiles, zero

LANES = 16


def cumulative_sum(
    outer: int, width: int, inner: int, exclusive: bool, dtype: str, lanes: int = LANES
) -> tirx.PrimFunc:
    """Kernel (x, y): y[o, i, n] = the sum of x[o, j, n] over j ≤ i, or j < i if `exclusive`, in ascending order.

    `x` and `y`: (outer·width·inner,) of `dtype`. A loop does `lanes` sums at once.
    """
    size = outer * width * inner
    with kernel("cumulative_sum") as built:
        x = built.argument("x", (size,), dtype)
        y = built.argument("y", (size,), dtype)

        with independent(outer) as row:
            start = row * (width * inner)

            def columns(offset: Expression, lanes: int) -> None:
                total, first = tir.alloc_buffer((lanes,), dtype), start + offset
                store(total, 0, lanes, zero(dtype, lanes) if exclusive else load(x, first, lanes))
                store(y, first, lanes, load(total, 0, lanes))
                with tir.serial(0, width - 1) as index:
                    place = first + index * inner  # of the element before
                    new = place if exclusive else place + inner
                    store(total, 0, lanes, load(total, 0, lanes) + load(x, new, lanes))
                    store(y, place + inner, lanes, load(total, 0, lanes))

            for first, count in tiles(inner, lanes):
                for offset, size in chunks(count, lanes):
                    columns(first + offset, size)
    return built.function.with_attr(FORM, ["cumulative_sum", outer, width, inner, int(exclusive), dtype])
