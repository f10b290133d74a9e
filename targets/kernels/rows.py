"""Cutting an array into runs of its elements, and joining runs to an array: copies, each of a loop of vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tvm import tirx

from astroedge.targets.tir_builder import Buffer, Expression, chunks, independent, kernel, load, store

VECTOR_BYTES = 64


def cut(total: int, starts: Sequence[int], size: int, dtype: str) -> tirx.PrimFunc:
    """Kernel (x, y0, y1, …): each y is the `size` elements of x, (total,), from its start on."""
    with kernel("cut") as built:
        x = built.argument("x", (total,), dtype)
        pieces = [built.argument(f"y{place}", (size,), dtype) for place in range(len(starts))]
        for start, piece in zip(starts, pieces, strict=True):
            _copy(x, start, piece, 0, size, dtype)
    return built.function


def join(sizes: Sequence[int], dtype: str) -> tirx.PrimFunc:
    """Kernel (x0, x1, …, y): y is all elements of the first x, then those of the next."""
    with kernel("join") as built:
        pieces = [built.argument(f"x{place}", (size,), dtype) for place, size in enumerate(sizes)]
        y = built.argument("y", (sum(sizes),), dtype)
        start = 0
        for piece, size in zip(pieces, sizes, strict=True):
            _copy(piece, 0, y, start, size, dtype)
            start += size
    return built.function


def _copy(source: Buffer, first: int, target: Buffer, start: int, size: int, dtype: str) -> None:
    lanes = VECTOR_BYTES // np.dtype(dtype).itemsize
    whole = size // lanes

    def move(offset: Expression, width: int) -> None:
        store(target, start + offset, width, load(source, first + offset, width))

    if whole:
        with independent(whole) as index:
            move(index * lanes, lanes)
    with independent(1):
        for offset, width in chunks(size - whole * lanes, lanes):
            move(whole * lanes + offset, width)
