"""Weights as kernels read them: packing of int4, and vectors of stored numbers widened for adding.

An int4 number q is kept as the nibble q + 8. Columns come in chunks of 64, then of 32, 16 … for the rest; a chunk of
2·n columns is n bytes, column j of it in the low nibble of byte j and column n + j in the high one. So one load and two
operations give two vectors of neighbouring columns. A chunk of one column is one byte.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from astroedge.targets.precision.storage import Storage
from astroedge.targets.tir_builder import Buffer, Expression, chunks, load

CHUNK = 64
"""Columns of the widest int4 chunk: 32 bytes. Tiles of an int4 matrix end where a chunk ends."""

NIBBLE_ZERO = 8


def pack(values: NDArray[np.generic], storage: Storage) -> NDArray[np.generic]:
    """Stored numbers [rows, columns] as they lie in memory, in the elements of `storage.data_type`."""
    return pack_nibbles(values.astype(np.int8, copy=False)) if storage.packs_nibbles else values


def pack_nibbles(values: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Integers −8 to 7 [rows, columns] as bytes [rows, ceil(columns / 2)]."""
    nibbles = (values + NIBBLE_ZERO).astype(np.uint8)
    packed = []
    for first, width in chunks(values.shape[1], CHUNK):
        half = (width + 1) // 2
        low, high = nibbles[:, first : first + half], nibbles[:, first + half : first + width]
        packed.append(low | (high << 4) if width > 1 else low)
    return np.concatenate(packed, axis=1)


def vectors(width: int, storage: Storage, lanes: int = 16) -> list[tuple[int, int]]:
    """(offset, lanes) of the vectors that cover the `width` columns of a tile, none across the halves of a chunk."""
    if not storage.packs_nibbles:
        return chunks(width, lanes)
    return [
        (first + start + offset, count)
        for first, covered in chunks(width, CHUNK)
        for start in range(0, covered, (covered + 1) // 2)
        for offset, count in chunks((covered + 1) // 2, lanes)
    ]


def load_weights(
    buffer: Buffer, storage: Storage, start: Expression, width: int, offset: int, lanes: int, dtype: str
) -> Expression:
    """The stored numbers of `lanes` columns as a vector of `dtype`.

    `start` is where the row of a tile of `width` columns begins; (`offset`, `lanes`) is one of its `vectors`.
    """
    if not storage.packs_nibbles:
        return cast(load(buffer, start + offset, lanes), dtype, lanes)
    byte, high = nibble_place(width, offset)
    pairs = load(buffer, start + byte, lanes)
    signed = cast(high_nibbles(pairs) if high else low_nibbles(pairs), "int8", lanes)
    return cast(signed - tirx.const(NIBBLE_ZERO, signed.ty.dtype), dtype, lanes)


def nibble_place(width: int, column: int) -> tuple[int, bool]:
    """In which byte of a row of `width` int4 weights a column is, and whether in its high nibble."""
    first, covered = next((first, covered) for first, covered in chunks(width, CHUNK) if column < first + covered)
    half = (covered + 1) // 2
    return first // 2 + (column - first) % half, column - first >= half


def low_nibbles(pairs: Expression) -> Expression:
    """q + 8 of the columns in the low halves of a vector of bytes, as bytes."""
    return tirx.bitwise_and(pairs, tirx.const(15, pairs.ty.dtype))


def high_nibbles(pairs: Expression) -> Expression:
    """The same of those in the high halves."""
    return tirx.shift_right(pairs, tirx.const(4, pairs.ty.dtype))


def cast(value: Expression, dtype: str, lanes: int) -> Expression:
    """A vector (or a number, if `lanes` is 1) in another dtype."""
    wanted = dtype if lanes == 1 else f"{dtype}x{lanes}"
    return value if str(value.ty.dtype) == wanted else tirx.Cast(wanted, value)


def reinterpret(dtype: str, value: Expression, lanes: int) -> Expression:
    """The bits of a vector (or a number, if `lanes` is 1) as those of another dtype."""
    return tirx.reinterpret(dtype if lanes == 1 else f"{dtype}x{lanes}", value)
