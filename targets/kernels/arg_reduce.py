"""The index of the first largest or smallest element of a vector, in 16 lanes.

Every lane starts at element 0 and takes a later one only if it is strictly better, so what the lanes start from is an
element too, whatever it is: a row of infinities, of the lowest number of its type, or of equal elements has index 0. A
NaN is better than nothing, and nothing is better than a NaN: it counts where it is element 0 and else never, as in ONNX
Runtime. Of equal elements in two lanes the one with the smaller index is kept.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.tir_builder import FORM, Expression, chunks, independent, kernel, load, splat, store, zero

LANES = 16

BETTER: dict[str, Callable[[Expression, Expression], Expression]] = {
    "argmax": lambda candidate, best: candidate > best,
    "argmin": lambda candidate, best: candidate < best,
}


def arg_reduce(kind: str, outer: int, width: int, dtype: str) -> tirx.PrimFunc:
    """Kernel (x, y): y[o] = the index of the first largest ("argmax") or smallest ("argmin") element of x[o, :].

    `x`: (outer·width,) of `dtype`; `y`: (outer,) int64, from 0 to `width` − 1.
    """
    better = BETTER[kind]
    with kernel(kind) as built:
        x = built.argument("x", (outer * width,), dtype)
        y = built.argument("y", (outer,), "int64")
        with independent(outer) as index:
            start = index * width
            best = tir.alloc_buffer((LANES,), dtype)
            places = tir.alloc_buffer((LANES,), "int32")

            def take(offset: Expression, lanes: int) -> None:
                candidate = load(x, start + offset, lanes)
                held = load(best, 0, lanes)
                numbers = offset if lanes == 1 else tirx.Ramp(offset, 1, lanes)
                store(places, 0, lanes, tirx.Select(better(candidate, held), numbers, load(places, 0, lanes)))
                store(best, 0, lanes, tirx.Select(better(candidate, held), candidate, held))

            store(best, 0, LANES, splat(load(x, start, 1), LANES))
            store(places, 0, LANES, zero("int32", LANES))
            if width >= LANES:
                with tir.serial(0, width // LANES) as block:
                    take(block * LANES, LANES)
            for offset, count in chunks(width % LANES):
                take(tirx.const(width // LANES * LANES + offset, "int32"), count)
            half = LANES // 2
            while half:
                left, right = load(best, 0, half), load(best, half, half)
                first, second = load(places, 0, half), load(places, half, half)
                equal = tirx.Select(right == left, tirx.min(first, second), first)
                store(places, 0, half, tirx.Select(better(right, left), second, equal))
                store(best, 0, half, tirx.Select(better(right, left), right, left))
                half //= 2
            tir.buffer_store(y, tirx.Cast("int64", places[0]), [index])
    return built.function.with_attr(FORM, ["arg_reduce", kind, outer, width, dtype])
