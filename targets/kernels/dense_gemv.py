"""Matrix products that read every weight, in the same reduction order as the event-driven ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.authoring import (
    BLOCK,
    Buffer,
    Expression,
    chunks,
    kernel,
    load,
    register_floats,
    splat,
    store,
    tiles,
    zero,
)

if TYPE_CHECKING:
    from astroedge.targets.board_file import Target


def pack_weights(weights: np.ndarray, tile: int) -> np.ndarray:
    """W[K, N] as the flat array of K·N elements that `dense_gemv` reads.

    For each `tile` columns, K rows of them; the last tile is as narrow as what is left.
    """
    columns = range(0, weights.shape[1], tile)
    return np.concatenate([weights[:, start : start + tile].ravel() for start in columns])


def dense_tile(batch: int, target: Target) -> tuple[int, int]:
    """(tile, row_tile) for `dense_gemv`: how many columns, and how many rows of x, share one pass over the weights.

    Together they fill a quarter to half of the vector registers. More would not fit: the sums of a tile and of the
    narrower last one are laid out side by side, in the 1 KiB that TVM keeps on the stack.
    """
    sums = min(128, register_floats(target) // 2)
    row_tile = min(batch, 4, sums // 16)
    return sums // row_tile // 16 * 16, row_tile


@dataclass(frozen=True)
class _Weights:
    """Where weight (k, column) lies: `start(first column of a tile, its width) + k·pitch + (column in tile)·stride`."""

    buffer: Buffer
    packed: bool
    rows: int
    columns: int
    transposed: bool = False
    origin: Expression = 0

    def at(self, k: Expression, first: Expression, offset: int, lanes: int, width: int) -> Expression:
        if self.packed:
            return load(self.buffer, first * self.rows + k * width + offset, lanes)
        if self.transposed:
            return load(self.buffer, self.origin + (first + offset) * self.rows + k, lanes, self.rows)
        return load(self.buffer, self.origin + k * self.columns + first + offset, lanes)


@dataclass(frozen=True)
class _Rows:
    """Rows of the left operand and of the result that are computed together."""

    x: Buffer
    y: Buffer
    first: Expression
    count: int


def dense_gemv(
    batch: int, rows: int, columns: int, *, bias: bool, tile: int = 64, row_tile: int = 1, dtype: str = "float32"
) -> tirx.PrimFunc:
    """Kernel (x, weights, [bias], y): y[m, :] = Σ over k of x[m, k]·W[k, :] (+ bias), for `batch` rows m.

    - `x`: (batch·rows,) of `dtype` (float32 or bool);
    - `weights`: (rows·columns,) float32 from `pack_weights(W, tile)`;
    - `bias`: (columns,) float32; `y`: (batch·columns,) float32.

    `row_tile` rows of x share one reading of the weights; each row's bits equal those of that row alone, and those of
    `event_gemv` (blocks of 256 inputs, ascending inside from +0.0, block sums added ascending, bias last).
    """
    with kernel("dense_gemv") as built:
        x = built.argument("x", (batch * rows,), dtype)
        weights = _Weights(built.argument("weights", (rows * columns,), "float32"), True, rows, columns)
        offsets = built.argument("bias", (columns,), "float32") if bias else None
        y = built.argument("y", (batch * columns,), "float32")
        _product(x, weights, offsets, y, batch, tile, row_tile)
    return built.function


def batched_matmul(
    batch: int, rows_out: int, rows: int, columns: int, *, transpose_b: bool = False, tile: int = 64
) -> tirx.PrimFunc:
    """Kernel (a, b, y): `batch` products of a (rows_out × rows) and b (rows × columns), both computed values.

    - `a`: (batch·rows_out·rows,) float32; `y`: (batch·rows_out·columns,) float32;
    - `b`: (batch·rows·columns,) float32, row-major, as columns × rows if `transpose_b`.

    The reduction order is that of `dense_gemv`.
    """
    with kernel("batched_matmul") as built:
        a = built.argument("a", (batch * rows_out * rows,), "float32")
        b = built.argument("b", (batch * rows * columns,), "float32")
        y = built.argument("y", (batch * rows_out * columns,), "float32")
        with tir.serial(0, batch) as index:
            weights = _Weights(b, False, rows, columns, transpose_b, index * rows * columns)
            _product(a, weights, None, y, rows_out, tile, 1, index * rows_out)
    return built.function


def _product(
    x: Buffer,
    weights: _Weights,
    bias: Buffer | None,
    y: Buffer,
    rows_out: int,
    tile: int,
    row_tile: int,
    origin: Expression = 0,
) -> None:
    """Emit the product of `rows_out` rows of x from row `origin`, by tiles of columns, then of rows."""
    for first, width in tiles(weights.columns, tile):
        for first_row, count in tiles(rows_out, row_tile):
            _tile(_Rows(x, y, origin + first_row, count), weights, bias, first, width)


def _tile(rows: _Rows, weights: _Weights, bias: Buffer | None, first: Expression, width: int) -> None:
    """Emit `rows.count` × `width` sums, held in registers over a block of inputs."""
    total = tir.alloc_buffer((rows.count * width,), "float32")
    places = [(row, offset, lanes) for row in range(rows.count) for offset, lanes in chunks(width)]

    def target(row: int, offset: int) -> Expression:
        return (rows.first + row) * weights.columns + first + offset

    def sum_block(start: Expression, length: int) -> None:
        for row, offset, lanes in places:
            store(total, row * width + offset, lanes, zero("float32", lanes))
        with tir.serial(0, length) as step:
            k = start + step
            for row, offset, lanes in places:
                value = tirx.Cast("float32", rows.x[(rows.first + row) * weights.rows + k])
                product = splat(value, lanes) * weights.at(k, first, offset, lanes, width)
                store(total, row * width + offset, lanes, load(total, row * width + offset, lanes) + product)

    def put(add: Buffer | None) -> None:
        """Add the block's sums to y; the first block replaces what was there."""
        for row, offset, lanes in places:
            value = load(total, row * width + offset, lanes)
            store(
                rows.y,
                target(row, offset),
                lanes,
                value if add is None else load(add, target(row, offset), lanes) + value,
            )

    whole, rest = divmod(weights.rows, BLOCK)
    sum_block(tirx.const(0, "int32"), BLOCK if whole else rest)
    put(None)
    if whole > 1:
        with tir.serial(1, whole) as block:
            sum_block(block * BLOCK, BLOCK)
            put(rows.y)
    if whole and rest:
        sum_block(tirx.const(whole * BLOCK, "int32"), rest)
        put(rows.y)
    if bias is not None:
        for row, offset, lanes in places:
            value = load(rows.y, target(row, offset), lanes) + load(bias, first + offset, lanes)
            store(rows.y, target(row, offset), lanes, value)
