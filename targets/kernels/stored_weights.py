"""Weights as kernels read them: packing of int4, and vectors of stored numbers widened for adding.

An int4 number q is kept as the nibble q + 8. Columns come in chunks of 64, then of 32, 16 … for the rest; a chunk of
2·n columns is n bytes, column j of it in the low nibble of byte j and column n + j in the high one. So one load and two
operations give two vectors of neighbouring columns. A chunk of one column is one byte.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from astroedge.errors import CompileError
from astroedge.targets.kernels.authoring import BLOCK, Buffer, Expression, chunks, load
from astroedge.targets.weight_format import GROUP, LARGEST, Precision

CHUNK = 64
"""Columns of the widest int4 chunk: 32 bytes. Tiles of an int4 matrix end where a chunk ends."""

_DTYPES = {"float32": "float32", "float16": "float16", "int8": "int8", "int4": "uint8"}
NIBBLE_ZERO = 8


def pack_nibbles(values: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Integers −8 to 7 [rows, columns] as bytes [rows, ceil(columns / 2)]."""
    nibbles = (values + NIBBLE_ZERO).astype(np.uint8)
    packed = []
    for first, width in chunks(values.shape[1], CHUNK):
        half = (width + 1) // 2
        low, high = nibbles[:, first : first + half], nibbles[:, first + half : first + width]
        packed.append(low | (high << 4) if width > 1 else low)
    return np.concatenate(packed, axis=1)


def data_type(storage: Precision) -> str:
    """The dtype of a stored matrix in a kernel's parameters."""
    return _DTYPES[storage]


def is_integer(storage: Precision) -> bool:
    """Whether the stored numbers are integers, which a scale multiplies."""
    return storage in LARGEST


def data_size(columns: Expression, storage: Precision) -> Expression:
    """Elements of `data_type` that hold `columns` weights of a row, as a number or an expression."""
    return (columns + 1) // 2 if storage == "int4" else columns


def sum_block(storage: Precision) -> int:
    """Inputs that are summed before their sum is scaled (int4) or added to those of other blocks."""
    return GROUP if storage == "int4" else BLOCK


def scale_rows(rows: int, storage: Precision) -> int:
    """How many scales each column has: none, one, or one for each group of inputs."""
    return {"int8": 1, "int4": -(-rows // GROUP)}.get(storage, 0)


def check_rows(rows: int, storage: Precision) -> None:
    """Refuse a matrix whose integer sums might not be exact in float32, as they are when floats are added.

    Raises CompileError.
    """
    largest = 2**24 // LARGEST["int8"]
    if storage == "int8" and rows > largest:
        raise CompileError(
            f"An int8 matrix of {rows} inputs has sums beyond 2^24, which float32 does not hold exactly; the most is "
            f"{largest}. Use precision float16 or int4 for it."
        )


def vectors(width: int, storage: Precision, lanes: int = 16) -> list[tuple[int, int]]:
    """(offset, lanes) of the vectors that cover the `width` columns of a tile, none across the halves of a chunk."""
    if storage != "int4":
        return chunks(width, lanes)
    return [
        (first + start + offset, count)
        for first, covered in chunks(width, CHUNK)
        for start in range(0, covered, (covered + 1) // 2)
        for offset, count in chunks((covered + 1) // 2, lanes)
    ]


def load_weights(
    buffer: Buffer, storage: Precision, start: Expression, width: int, offset: int, lanes: int, dtype: str
) -> Expression:
    """The stored numbers of `lanes` columns as a vector of `dtype`.

    `start` is where the row of a tile of `width` columns begins; (`offset`, `lanes`) is one of its `vectors`.
    """
    if storage != "int4":
        return cast(load(buffer, start + offset, lanes), dtype, lanes)
    signed = load_nibbles(buffer, start, width, offset, lanes)
    return cast(signed - tirx.const(NIBBLE_ZERO, signed.ty.dtype), dtype, lanes)


def load_nibbles(buffer: Buffer, start: Expression, width: int, offset: int, lanes: int) -> Expression:
    """q + 8 of `lanes` int4 columns as an int8 vector; arguments as of `load_weights`."""
    first, covered = next((first, covered) for first, covered in chunks(width, CHUNK) if offset < first + covered)
    half = (covered + 1) // 2
    pair = load(buffer, start + first // 2 + (offset - first) % half, lanes)
    if offset - first < half:
        nibble = tirx.bitwise_and(pair, tirx.const(15, pair.ty.dtype))
    else:
        nibble = tirx.shift_right(pair, tirx.const(4, pair.ty.dtype))
    return cast(nibble, "int8", lanes)


def cast(value: Expression, dtype: str, lanes: int) -> Expression:
    """A vector (or a number, if `lanes` is 1) in another dtype."""
    wanted = dtype if lanes == 1 else f"{dtype}x{lanes}"
    return value if str(value.ty.dtype) == wanted else tirx.Cast(wanted, value)


def reinterpret(dtype: str, value: Expression, lanes: int) -> Expression:
    """The bits of a vector (or a number, if `lanes` is 1) as those of another dtype."""
    return tirx.reinterpret(dtype if lanes == 1 else f"{dtype}x{lanes}", value)
