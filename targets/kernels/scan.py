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

        with tir.serial(0, outer) as row:
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

            in_vectors(inner, columns)
    return built.function
