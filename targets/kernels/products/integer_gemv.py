"""Matrix products of integers, exact in any order: inputs of 16 bits with weights of 8 in pairs, and any others.

The pairs are those of `fixed_gemv`: one instruction multiplies vectors of int16 and adds neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.stored_weights import cast, reinterpret
from astroedge.targets.tir_builder import (
    Buffer,
    Expression,
    chunks,
    hold,
    independent,
    kernel,
    load,
    splat,
    store,
    tiles,
    zero,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from astroedge.targets.boards.board_file import Target

TILE = 64


def pack_pairs(values: NDArray[np.int8], tile: int) -> NDArray[np.int8]:
    """The flat array `weights` that `integer_gemv` reads of W[rows, columns].

    For each `tile` columns (the last tile is as narrow as what is left) and each pair of inputs, the two weights of
    each column; an odd number of rows has a zero below.
    """
    even = np.pad(values, ((0, len(values) % 2), (0, 0)))
    pieces = [even[:, start : start + tile] for start in range(0, values.shape[1], tile)]
    return np.concatenate([piece.reshape(len(even) // 2, 2, -1).transpose(0, 2, 1).ravel() for piece in pieces])


@dataclass(frozen=True)
class _Vector:
    """Sums of `columns` columns from `offset` in the tile, at `start` among the sums of a row of inputs.

    `joined` sums have both inputs of a pair in one lane; the others have two lanes a column.
    """

    offset: int
    columns: int
    joined: bool
    start: int

    @property
    def lanes(self) -> int:
        return self.columns if self.joined else 2 * self.columns


def integer_gemv(batch: int, rows: int, columns: int, *, target: Target, tile: int, row_tile: int) -> tirx.PrimFunc:
    """Kernel (x, weights, y): y[m, :] = Σ over k of x[m, k]·W[k, :], for `batch` rows m.

    - `x`: (batch·rows,) int32, numbers that an int16 holds; `y`: (batch·columns,) int32, which the sums must fit;
    - `weights`: int8, as `pack_pairs(W, tile)` makes them of W[rows, columns].
    """
    with kernel("integer_gemv") as built:
        x = built.argument("x", (batch * rows,), "int32")
        weights = built.argument("weights", (2 * ((rows + 1) // 2) * columns,), "int8")
        y = built.argument("y", (batch * columns,), "int32")
        operands = _Operands(x, weights, y, rows, columns, target)
        for first, width in tiles(columns, tile):
            for first_row, count in tiles(batch, row_tile, rows=True):
                _Tile(operands, first, width, first_row, count).emit()
    return built.function


@dataclass(frozen=True)
class _Operands:
    x: Buffer
    weights: Buffer
    y: Buffer
    rows: int
    columns: int
    target: Target


class _Tile:
    """`width` columns from `first` of `count` rows from `first_row`, whose sums are held in registers."""

    def __init__(self, operands: _Operands, first: Expression, width: int, first_row: Expression, count: int) -> None:
        self.operands = operands
        self.first = first
        self.width = width
        self.first_row = first_row
        self.count = count
        self.vectors: list[_Vector] = []
        family, start = operands.target.family, 0
        for place, values in chunks(2 * width, operands.target.vector_bits // 16):
            vector = _Vector(place // 2, values // 2, values in family.multiply_add, start)
            self.vectors.append(vector)
            start += vector.lanes
        self.sums = start

    def emit(self) -> None:
        """Emit the sums and their stores."""
        rows = self.operands.rows
        total = tir.alloc_buffer((self.count * self.sums,), "int32")
        for row, vector in self._all:
            store(total, self._place(row, vector), vector.lanes, zero("int32", vector.lanes))
        if rows >= 2:
            with tir.serial(0, rows // 2) as pair:
                self._add_pair(total, pair, False)
        if rows % 2:
            self._add_pair(total, tirx.const(rows // 2, "int32"), True)
        for row, vector in self._all:
            sums = self._joined(load(total, self._place(row, vector), vector.lanes), vector)
            place = (self.first_row + row) * self.operands.columns + self.first + vector.offset
            store(self.operands.y, place, vector.columns, sums)

    @property
    def _all(self) -> list[tuple[int, _Vector]]:
        return [(row, vector) for row in range(self.count) for vector in self.vectors]

    def _place(self, row: int, vector: _Vector) -> int:
        return row * self.sums + vector.start

    def _add_pair(self, total: Buffer, pair: Expression, alone: bool) -> None:
        """Add a pair of inputs times their weights; the last of an odd number is `alone`."""
        pairs = (self.operands.rows + 1) // 2
        start = 2 * (self.first * pairs + pair * self.width)
        inputs = [hold(self._pair(row, pair, alone)) for row in range(self.count)]
        for row, vector in self._all:
            lanes = 2 * vector.columns
            weights = cast(load(self.operands.weights, start + 2 * vector.offset, lanes), "int16", lanes)
            both = reinterpret("int16", splat(inputs[row], vector.columns), lanes)
            place = self._place(row, vector)
            product = self._multiply(weights, both, vector)
            store(total, place, vector.lanes, load(total, place, vector.lanes) + product)

    def _pair(self, row: int, pair: Expression, alone: bool) -> Expression:
        """Two neighbouring inputs in an int32, the first in its low half."""
        place = (self.first_row + row) * self.operands.rows + 2 * pair
        low = tirx.bitwise_and(self.operands.x[place], tirx.const(0xFFFF, "int32"))
        return low if alone else tirx.bitwise_or(low, self.operands.x[place + 1] << tirx.const(16, "int32"))

    def _multiply(self, weights: Expression, inputs: Expression, vector: _Vector) -> Expression:
        lanes = 2 * vector.columns
        if vector.joined:
            joined = self.operands.target.family.multiply_add[lanes]
            return tirx.call_llvm_pure_intrin(f"int32x{vector.columns}", joined, weights, inputs)
        return cast(weights, "int32", lanes) * cast(inputs, "int32", lanes)

    def _joined(self, sums: Expression, vector: _Vector) -> Expression:
        """One sum a column."""
        if vector.joined:
            return sums
        even, odd = (tirx.Shuffle([sums], list(range(first, vector.lanes, 2))) for first in (0, 1))
        return even + odd


def integer_matmul(batch: int, rows_out: int, rows: int, columns: int, dtype: str) -> tirx.PrimFunc:
    """Kernel (a, b, y): `batch` products of a (rows_out × rows) and b (rows × columns), modulo the range of `dtype`.

    `a`: (batch·rows_out·rows,), `b`: (batch·rows·columns,) and `y`: (batch·rows_out·columns,) of `dtype`, int32 or
    int64.
    """
    modular = f"u{dtype}"  # whose overflow wraps around; that of signed numbers is undefined
    with kernel("integer_matmul") as built:
        a = built.argument("a", (batch * rows_out * rows,), dtype)
        b = built.argument("b", (batch * rows * columns,), dtype)
        y = built.argument("y", (batch * rows_out * columns,), dtype)

        def emit(row: Expression, origin: Expression, first: Expression, width: int) -> None:
            total = tir.alloc_buffer((width,), modular)
            places = chunks(width)
            for offset, lanes in places:
                store(total, offset, lanes, zero(modular, lanes))
            with tir.serial(0, rows) as k:
                value = hold(tirx.Cast(modular, a[row * rows + k]))
                for offset, lanes in places:
                    weights = cast(load(b, origin + k * columns + first + offset, lanes), modular, lanes)
                    store(total, offset, lanes, load(total, offset, lanes) + splat(value, lanes) * weights)
            for offset, lanes in places:
                sums = cast(load(total, offset, lanes), dtype, lanes)
                store(y, row * columns + first + offset, lanes, sums)

        with independent(batch) as index:
            for first, width in tiles(columns, TILE):
                with independent(rows_out, rows=True) as row:
                    emit(index * rows_out + row, index * rows * columns, first, width)
    return built.function
