"""Dense products of int4 weights with inputs in fixed point, by instructions that multiply and add bytes four by four.

A nibble is a byte with one operation, where `fixed_gemv` widens it to 16 bits with three; and one instruction takes
four bytes a lane, where that one's takes two numbers. The exact sums, and so the bits, are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.prefetch import fetch_stream
from astroedge.targets.kernels.products.fixed_bytes import DIGITS, QUAD, quad_count
from astroedge.targets.kernels.products.fixed_point import block_count
from astroedge.targets.kernels.stored_weights import (
    NIBBLE_ZERO,
    cast,
    high_nibbles,
    low_nibbles,
    reinterpret,
)
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


@dataclass(frozen=True)
class ByteDots:
    """An instruction: what it is to LLVM, and how many int32 sums it adds four products each to."""

    intrinsic: str
    lanes: int

    @property
    def span(self) -> int:
        """Columns whose weights one vector of bytes holds: those in low nibbles and those in high ones."""
        return 2 * self.lanes


def dot_tile(batch: int, target: Target, dots: ByteDots) -> tuple[int, int]:
    """(tile, row_tile) for `dot_gemv`: how many columns and rows of inputs share one pass over the weights.

    Their sums take half of the vector registers; where one row's do already, the rows take turns.
    """
    columns = target.family.vector_registers(target.vector_bits) // 2 // DIGITS * dots.lanes
    row_tile = 1 if batch == 1 or columns < 2 * dots.span else 2
    return columns // row_tile, row_tile


def pack_dots(stored: StoredMatrix, tile: int, dots: ByteDots) -> tuple[NDArray[np.generic], NDArray[np.float32]]:
    """The flat arrays `weights` and `scales` that `dot_gemv` reads.

    For each `tile` columns (the last tile is as narrow as what is left, in whole spans) and each quad of inputs: for
    each span the nibbles of its first columns, four for each, in the low halves of bytes; those of its other columns
    in the high ones.
    """
    assert stored.scales is not None
    rows, columns = stored.values.shape
    nibbles = (stored.values + NIBBLE_ZERO).astype(np.uint8)
    spans = -(-columns // dots.span)
    nibbles = np.pad(nibbles, ((0, QUAD * quad_count(rows) - rows), (0, spans * dots.span - columns)))
    packed = []
    for start in range(0, nibbles.shape[1], tile):
        piece = nibbles[:, start : start + tile]
        quads = piece.reshape(quad_count(rows), QUAD, -1, 2, dots.lanes).transpose(0, 2, 3, 4, 1)
        packed.append((quads[:, :, 0] | quads[:, :, 1] << 4).ravel())
    return np.concatenate(packed), stored.scales.ravel()


def dot_gemv(
    batch: int,
    rows: int,
    columns: int,
    *,
    dots: ByteDots,
    tile: int,
    row_tile: int = 1,
    storage: Storage,
    waits: bool = False,
) -> tirx.PrimFunc:
    """Kernel (digits, offsets, factors, weights, scales, y): y[m, :] = Σ over k of x[m, k]·W[k, :].

    - `digits`, `offsets` and `factors`: `batch` rows of inputs from `fixed_bytes`;
    - `weights` and `scales`: as `pack_dots(stored, tile, dots)` makes them of an int4 matrix W[rows, columns];
    - `y`: (batch·columns,) float32.

    `waits` says that weights have to be waited for: they are asked for ahead.

    The bits are those of `fixed_gemv`. No sum overflows: a digit is at most 2⁷, a nibble 15, and 256 · 15 · 2⁷ < 2³¹.
    """
    spans = -(-columns // dots.span)
    with kernel("dot_gemv") as built:
        operands = _Operands(
            built.argument("digits", (batch * DIGITS * QUAD * quad_count(rows),), "int8"),
            built.argument("offsets", (batch * storage.scale_rows(rows) * DIGITS,), "int32"),
            built.argument("factors", (batch * block_count(rows),), "float32"),
            built.argument("weights", (quad_count(rows) * spans * QUAD * dots.lanes,), "uint8"),
            built.argument("scales", (storage.scale_rows(rows) * columns,), "float32"),
            built.argument("y", (batch * columns,), "float32"),
            rows,
            columns,
            storage,
            dots,
            waits,
        )
        for first, width in tiles(columns, tile):
            for first_row, count in tiles(batch, row_tile, rows=True):
                _Tile(operands, first, width, first_row, count).emit()
    return built.function


@dataclass(frozen=True)
class _Operands:
    digits: Buffer
    offsets: Buffer
    factors: Buffer
    weights: Buffer
    scales: Buffer
    y: Buffer
    rows: int
    columns: int
    storage: Storage
    dots: ByteDots
    waits: bool


@dataclass(frozen=True)
class _Tile:
    """`width` columns from `first` of `count` rows from `first_row`, whose sums are held in registers."""

    operands: _Operands
    first: Expression
    width: int
    first_row: Expression
    count: int

    def emit(self) -> None:
        """Emit the sums of all groups, each scaled and added to +0.0."""
        operands = self.operands
        length = operands.storage.sum_block // QUAD
        quads = quad_count(operands.rows)
        # Apart, because what has a kilobyte TVM does not lay on the stack, and so not in registers.
        sums = [tir.alloc_buffer((self.count * self._columns,), "int32") for _ in range(DIGITS)]
        for row in range(self.count):
            for offset, lanes in chunks(self.width, operands.dots.lanes):
                store(operands.y, self._y_place(row, offset), lanes, zero("float32", lanes))
        with loop(-(-quads // length)) as group:
            # Held, as in `fixed_gemv`.
            uneven = quads > length and quads % length
            count = hold(tirx.min(quads - group * length, length)) if uneven else min(quads, length)
            self._sum_group(sums, group, group * length, count)
            for row in range(self.count):
                for offset, lanes in chunks(self.width, operands.dots.lanes):
                    self._add_group(sums, group, row, offset, lanes)

    @property
    def _spans(self) -> int:
        return -(-self.width // self.operands.dots.span)

    @property
    def _columns(self) -> int:
        """Columns with those that fill up the last span."""
        return self._spans * self.operands.dots.span

    def _sum_group(self, sums: Sequence[Buffer], group: Expression, begin: Expression, count: Expression) -> None:
        """Sum the products of `count` quads from `begin`, each digit for itself."""
        operands, dots = self.operands, self.operands.dots
        vectors = self._columns // dots.lanes
        groups = operands.storage.scale_rows(operands.rows)
        for row in range(self.count):
            for digit in range(DIGITS):
                at = ((self.first_row + row) * groups + group) * DIGITS + digit
                for vector in range(vectors):
                    start = splat(operands.offsets[at], dots.lanes)
                    store(sums[digit], self._place(row, vector * dots.lanes), dots.lanes, start)
        size = QUAD * dots.lanes
        with tir.serial(0, count) as step:
            quad = begin + step
            place = (self.first // dots.span * quad_count(operands.rows) + quad * self._spans) * size
            if operands.waits:
                fetch_stream(operands.weights, place, self._spans * size)
            for span in range(self._spans):
                pairs = load(operands.weights, place + span * size, size)
                for half, nibbles in enumerate((low_nibbles(pairs), high_nibbles(pairs))):
                    self._multiply(sums, nibbles, quad, 2 * span + half)

    def _multiply(self, sums: Sequence[Buffer], nibbles: Expression, quad: Expression, vector: int) -> None:
        """Add the products of a quad's nibbles with all digits of all rows to the sums of a vector of columns."""
        dots, size = self.operands.dots, QUAD * self.operands.dots.lanes
        length = QUAD * quad_count(self.operands.rows)
        for row in range(self.count):
            for digit in range(DIGITS):
                start = ((self.first_row + row) * DIGITS + digit) * length + QUAD * quad
                four = reinterpret("int32", load(self.operands.digits, start, QUAD), 1)
                inputs = reinterpret("int8", splat(four, dots.lanes), size)
                place = self._place(row, vector * dots.lanes)
                total = tirx.call_llvm_pure_intrin(
                    f"int32x{dots.lanes}", dots.intrinsic, load(sums[digit], place, dots.lanes), nibbles, inputs
                )
                store(sums[digit], place, dots.lanes, total)

    def _add_group(self, sums: Sequence[Buffer], group: Expression, row: int, offset: int, lanes: int) -> None:
        """Round the exact sum to float32, give it its factor and its scale and add it to y.

        It is high · 2¹⁶ + low with low from 0 to 2¹⁶ − 1; float32 holds both for groups of 64: adding them is rounding.
        """
        operands, storage = self.operands, self.operands.storage
        wide = "float32" if storage.sum_block * -storage.lowest * 2**15 <= EXACT else "float64"

        def number(value: int) -> Expression:
            return splat(tirx.const(value, "int32"), lanes)

        digits = [load(kept, self._place(row, offset), lanes) for kept in sums]
        lower = digits[0] + (digits[1] << number(8))
        high = cast(digits[2] + (digits[3] << number(8)) + (lower >> number(16)), wide, lanes)
        low = cast(tirx.bitwise_and(lower, number(0xFFFF)), wide, lanes)
        exact = high * splat(tirx.const(float(2**16), wide), lanes) + low
        place = (self.first_row + row) * block_count(operands.rows) + group // (BLOCK // storage.sum_block)
        value = cast(exact, "float32", lanes) * splat(operands.factors[place], lanes)
        scale = load(operands.scales, group * operands.columns + self.first + offset, lanes)
        at = self._y_place(row, offset)
        store(operands.y, at, lanes, load(operands.y, at, lanes) + scale * value)

    def _place(self, row: int, column: int) -> int:
        return row * self._columns + column

    def _y_place(self, row: int, offset: int) -> Expression:
        return (self.first_row + row) * self.operands.columns + self.first + offset
