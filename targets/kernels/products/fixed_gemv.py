"""Dense products of quantised weights with inputs in fixed point: integers of 16 bits multiplied and added in pairs.

Every processor has an instruction that multiplies vectors of int16 and adds, which does several times the work of
converting weights to float32 first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.prefetch import fetch_stream
from astroedge.targets.kernels.products.fixed_point import LOW_BITS, PLANES, block_count, pair_count
from astroedge.targets.kernels.stored_weights import cast, load_weights, pack, reinterpret, vectors
from astroedge.targets.precision.storage import BLOCK, EXACT, Storage
from astroedge.targets.precision.weight_format import StoredMatrix
from astroedge.targets.tir_builder import (
    Buffer,
    Expression,
    chunks,
    hold,
    kernel,
    load,
    loop,
    splat,
    store,
    tiles,
    zero,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from astroedge.targets.boards.board_file import Target


def fixed_tile(batch: int, target: Target) -> tuple[int, int]:
    """(tile, row_tile) for `fixed_gemv`: how many columns and rows of inputs share one pass over the weights.

    Their sums take half of the vector registers, or a quarter where there are 32.
    """
    columns = {512: 64, 256: 32}.get(target.vector_bits, 16)
    return (columns, 1) if batch == 1 else (columns // 2, 2)


def pack_fixed(stored: StoredMatrix, tile: int) -> tuple[NDArray[np.generic], NDArray[np.float32]]:
    """The flat arrays `weights` and `scales` that `fixed_gemv` reads.

    For each `tile` columns (the last tile is as narrow as what is left) and each pair of inputs, the two weights of
    each column; int4 tiles have an even number of columns, with zeros.
    """
    assert stored.scales is not None
    values = stored.values if len(stored.values) % 2 == 0 else np.pad(stored.values, ((0, 1), (0, 0)))
    packed = []
    for start in range(0, values.shape[1], tile):
        piece = values[:, start : start + tile]
        piece = np.pad(piece, ((0, 0), (0, _padded(piece.shape[1], stored.storage) - piece.shape[1])))
        paired = piece.reshape(len(values) // 2, 2, -1).transpose(0, 2, 1).reshape(len(values) // 2, -1)
        packed.append(pack(paired, stored.storage).ravel())
    return np.concatenate(packed), stored.scales.ravel()


def _padded(columns: int, storage: Storage) -> int:
    """Columns of a tile with padding, so that both weights of a pair are in nibbles of one kind."""
    return columns + columns % 2 if storage.packs_nibbles else columns


@dataclass(frozen=True)
class _Vector:
    """A vector of sums: of columns `offset` to `offset + columns` in the tile.

    `joined` sums have both inputs of a pair in one lane; the others have two lanes a column, to be added at the end.
    `start` is where the sums lie among those of the tile.
    """

    offset: int
    columns: int
    joined: bool
    start: int

    @property
    def lanes(self) -> int:
        return self.columns if self.joined else 2 * self.columns


def fixed_gemv(
    batch: int,
    rows: int,
    columns: int,
    *,
    target: Target,
    tile: int,
    row_tile: int = 1,
    storage: Storage,
    waits: bool = False,
) -> tirx.PrimFunc:
    """Kernel (planes, factors, weights, scales, y): y[m, :] = Σ over k of x[m, k]·W[k, :].

    - `planes` and `factors`: `batch` rows of inputs from `fixed_point`;
    - `weights` and `scales`: as `pack_fixed(stored, tile)` makes them of an int8 or int4 matrix W[rows, columns];
    - `y`: (batch·columns,) float32.

    `waits` says that weights have to be waited for: they are asked for ahead.

    The sum of a block of 256 inputs (int4: of a group of 64) is an exact integer, rounded once to float32 and
    multiplied by the block's factor. int8: block sums are added to +0.0 ascending, then scaled. int4: each is scaled,
    and they are added to +0.0 ascending. With inputs 0 and 1 the bits are those of `event_gemv`.

    No sum overflows: a half of an input is at most 2¹⁵, a weight at most 128, and 256 · 128 · 2¹⁵ < 2³¹.
    """
    pairs = pair_count(rows)
    padded = _padded(columns, storage)
    with kernel("fixed_gemv") as built:
        planes = built.argument("planes", (batch * PLANES * pairs,), "int32")
        factors = built.argument("factors", (batch * block_count(rows),), "float32")
        weights = built.argument("weights", (pairs * storage.data_size(2 * padded),), storage.data_type)
        scales = built.argument("scales", (storage.scale_rows(rows) * columns,), "float32")
        y = built.argument("y", (batch * columns,), "float32")
        operands = _Operands(planes, factors, weights, scales, y, rows, columns, storage, target, waits)
        for first, width in tiles(columns, tile):
            for first_row, count in tiles(batch, row_tile, rows=True):
                _Tile(operands, first, width, first_row, count).emit()
    return built.function


@dataclass(frozen=True)
class _Operands:
    planes: Buffer
    factors: Buffer
    weights: Buffer
    scales: Buffer
    y: Buffer
    rows: int
    columns: int
    storage: Storage
    target: Target
    waits: bool


class _Tile:
    """`width` columns from `first` of `count` rows from `first_row`, whose sums are held in registers."""

    def __init__(self, operands: _Operands, first: Expression, width: int, first_row: Expression, count: int) -> None:
        self.operands = operands
        self.first = first
        self.width = width
        self.first_row = first_row
        self.count = count
        self.padded = _padded(width, operands.storage)
        self.vectors = self._vectors()
        self.sums = sum(vector.lanes for vector in self.vectors)

    def emit(self) -> None:
        """Emit the sums of all blocks, added to +0.0; those of int8 are scaled at the end."""
        operands = self.operands
        length = operands.storage.sum_block // 2
        pairs = pair_count(operands.rows)
        total = tir.alloc_buffer((2 * self.count * self.sums,), "int32")
        for row, vector in self._all:
            self._put(row, vector, zero("float32", vector.columns))
        with loop(-(-pairs // length)) as block:
            # Held: LLVM would copy the loop for a shorter last block, and the copy kept its sums on the stack.
            uneven = pairs > length and pairs % length
            count = hold(tirx.min(pairs - block * length, length)) if uneven else min(pairs, length)
            self._sum_block(total, block, count)
        for row, vector in self._all if operands.storage.scaled_by_column else []:
            self._put(row, vector, self._scale(0, vector) * self._y(row, vector))

    def _vectors(self) -> list[_Vector]:
        """Whole vectors of the target, narrower ones for what is left, none for a column of padding."""
        target = self.operands.target
        found, start = [], 0
        for place, values in vectors(2 * self.padded, self.operands.storage, target.vector_bits // 16):
            for offset, columns in chunks(min(values // 2, self.width - place // 2)):
                joined = 2 * columns in target.family.multiply_add
                found.append(_Vector(place // 2 + offset, columns, joined, start))
                start += found[-1].lanes
        return found

    @property
    def _all(self) -> list[tuple[int, _Vector]]:
        return [(row, vector) for row in range(self.count) for vector in self.vectors]

    def _place(self, plane: int, row: int, vector: _Vector) -> int:
        return (plane * self.count + row) * self.sums + vector.start

    def _sum_block(self, total: Buffer, block: Expression, count: Expression) -> None:
        """Sum `count` pairs from the start of `block` and add the result to y."""
        operands = self.operands
        size = operands.storage.data_size(2 * self.padded)
        for row, vector in self._all:
            for plane in range(PLANES):
                store(total, self._place(plane, row, vector), vector.lanes, zero("int32", vector.lanes))
        with tir.serial(0, count) as step:
            pair = block * (operands.storage.sum_block // 2) + step
            start = operands.storage.data_size(2 * self.first) * pair_count(operands.rows) + pair * size
            if operands.waits:
                fetch_stream(operands.weights, start, size)
            for row, vector in self._all:
                weights = self._weights(start, vector)
                for plane in range(PLANES):
                    place = self._place(plane, row, vector)
                    product = self._multiply(weights, self._inputs(row, plane, pair, vector), vector)
                    store(total, place, vector.lanes, load(total, place, vector.lanes) + product)
        for row, vector in self._all:
            self._add_block(total, block, row, vector)

    def _weights(self, start: Expression, vector: _Vector) -> Expression:
        """Both weights of each column of a vector, as int16."""
        data, storage = self.operands.weights, self.operands.storage
        return load_weights(data, storage, start, 2 * self.padded, 2 * vector.offset, 2 * vector.columns, "int16")

    def _inputs(self, row: int, plane: int, pair: Expression, vector: _Vector) -> Expression:
        """A pair of inputs as int16, repeated for each column of a vector."""
        pairs = pair_count(self.operands.rows)
        both = self.operands.planes[((self.first_row + row) * PLANES + plane) * pairs + pair]
        return reinterpret("int16", splat(both, vector.columns), 2 * vector.columns)

    def _multiply(self, weights: Expression, inputs: Expression, vector: _Vector) -> Expression:
        lanes = 2 * vector.columns
        if vector.joined:
            joined = self.operands.target.family.multiply_add[lanes]
            return tirx.call_llvm_pure_intrin(f"int32x{vector.columns}", joined, weights, inputs)
        return cast(weights, "int32", lanes) * cast(inputs, "int32", lanes)

    def _add_block(self, total: Buffer, block: Expression, row: int, vector: _Vector) -> None:
        """Round the exact sum, high · 2¹⁵ + low, to float32 and give it its factor.

        Both halves of an int4 group's sum are at most 64 · 8 · 2¹⁵ = 2²⁴, which float32 holds: adding them is rounding.
        """
        operands, columns = self.operands, vector.columns
        largest = operands.storage.sum_block * -operands.storage.lowest * 2**LOW_BITS
        wide = "float32" if largest <= EXACT else "float64"
        high, low = (
            cast(self._joined(load(total, self._place(plane, row, vector), vector.lanes), vector), wide, columns)
            for plane in range(PLANES)
        )
        exact = high * splat(tirx.const(float(2**LOW_BITS), wide), columns) + low
        per_factor = BLOCK // operands.storage.sum_block
        place = (self.first_row + row) * block_count(operands.rows) + block // per_factor
        value = cast(exact, "float32", columns) * splat(operands.factors[place], columns)
        if operands.storage.scaled_by_group:
            value = self._scale(block, vector) * value
        self._put(row, vector, self._y(row, vector) + value)

    def _joined(self, sums: Expression, vector: _Vector) -> Expression:
        """One sum a column."""
        if vector.joined:
            return sums
        even, odd = (tirx.Shuffle([sums], list(range(first, vector.lanes, 2))) for first in (0, 1))
        return even + odd

    def _scale(self, group: Expression, vector: _Vector) -> Expression:
        place = group * self.operands.columns + self.first + vector.offset
        return load(self.operands.scales, place, vector.columns)

    def _y(self, row: int, vector: _Vector) -> Expression:
        return load(self.operands.y, self._y_place(row, vector), vector.columns)

    def _put(self, row: int, vector: _Vector, value: Expression) -> None:
        store(self.operands.y, self._y_place(row, vector), vector.columns, value)

    def _y_place(self, row: int, vector: _Vector) -> Expression:
        return (self.first_row + row) * self.operands.columns + self.first + vector.offset
