"""The index of the first largest or smallest element of a long vector, for a processor of thousands of threads.

One kernel finds the place of the best element of every block, another one the best of these. Both start from element 0
and take a later one only if it is strictly better, as `arg_reduce.py`, so the result is the same.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.arg_reduce import BETTER
from astroedge.targets.tir_builder import Buffer, Expression, hold, independent, kernel

BLOCK = 256


def blocks_of(width: int) -> int:
    """How many blocks a vector has."""
    return -(-width // BLOCK)


def best_of_blocks(kind: str, outer: int, width: int, dtype: str) -> tirx.PrimFunc:
    """Kernel (x, places): the place of the best of x[o, 0] and the elements of block b of x[o, :].

    `x`: (outer·width,) of `dtype`; `places`: (outer·blocks,) int32. `kind` is "argmax" or "argmin".
    """
    blocks = blocks_of(width)
    with kernel(kind) as built:
        x = built.argument("x", (outer * width,), dtype)
        places = built.argument("places", (outer * blocks,), "int32")
        with independent(outer) as row, independent(blocks) as block:

            def place(turn: Expression) -> Expression:  # the last block looks at its last element several times
                return tirx.min(block * BLOCK + turn, tirx.const(width - 1, "int32"))

            tir.buffer_store(places, _best(kind, x, row * width, BLOCK, place), [row * blocks + block])
    return built.function


def best_of_bests(kind: str, outer: int, width: int, dtype: str) -> tirx.PrimFunc:
    """Kernel (x, places, y): y[o] = the place of the best element of x[o, :], of what `best_of_blocks` found.

    `y`: (outer,) int64; the others as there.
    """
    blocks = blocks_of(width)
    with kernel(kind) as built:
        x = built.argument("x", (outer * width,), dtype)
        places = built.argument("places", (outer * blocks,), "int32")
        y = built.argument("y", (outer,), "int64")
        with independent(outer) as row:
            first = row * blocks
            best = _best(kind, x, row * width, blocks, lambda turn: places[first + turn])
            tir.buffer_store(y, tirx.Cast("int64", best), [row])
    return built.function


def _best(kind: str, x: Buffer, start: Expression, count: int, place: Callable[[Expression], Expression]) -> Expression:
    """The place of the best of the first element behind `start` and of those at `count` places behind it."""
    best, found = tir.alloc_buffer((1,), x.ty.dtype), tir.alloc_buffer((1,), "int32")
    tir.buffer_store(best, x[start], [0])
    tir.buffer_store(found, tirx.const(0, "int32"), [0])
    with tir.serial(0, count) as turn:
        here = hold(place(turn))
        candidate = x[start + here]
        better = BETTER[kind](candidate, best[0])
        tir.buffer_store(found, tirx.Select(better, here, found[0]), [0])
        tir.buffer_store(best, tirx.Select(better, candidate, best[0]), [0])
    return found[0]
