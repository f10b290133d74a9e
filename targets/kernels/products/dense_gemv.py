"""Matrix products that read every weight, in the same reduction order as the event-driven ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.prefetch import fetch_stream
from astroedge.targets.kernels.stored_weights import load_weights, pack, vectors
from astroedge.targets.precision.storage import FLOAT32, Storage
from astroedge.targets.precision.weight_format import StoredMatrix
from astroedge.targets.tir_builder import (
    Buffer,
    Expression,
    independent,
    kernel,
    load,
    register_floats,
    splat,
    store,
    tiles,
    zero,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from astroedge.targets.boards.board_file import Target


def pack_dense(stored: StoredMatrix, tile: int) -> tuple[NDArray[np.generic], NDArray[np.float32] | None]:
    """The flat arrays `weights` and `scales` that `dense_gemv` reads; no scales where weights are floats.

    For each `tile` columns (the last tile is as narrow as what is left), one row of them after the other.
    """
    columns = range(0, stored.values.shape[1], tile)
    tiles_of_columns = [pack(stored.values[:, start : start + tile], stored.storage) for start in columns]
    data = np.concatenate([values.ravel() for values in tiles_of_columns])
    return data, None if stored.scales is None else stored.scales.ravel()


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
    """Where weight (k, column) lies in `buffer`, and its scale."""

    buffer: Buffer
    packed: bool
    rows: int
    columns: int
    transposed: bool = False
    origin: Expression = 0
    storage: Storage = FLOAT32
    scales: Buffer | None = None
    waits: bool = False

    def at(self, k: Expression, first: Expression, offset: int, lanes: int, width: int) -> Expression:
        """Row k's `lanes` weights from `offset` in the tile of `width` columns that begins at `first`."""
        if self.packed:
            start = self.storage.data_size(first) * self.rows + k * self.storage.data_size(width)
            return load_weights(self.buffer, self.storage, start, width, offset, lanes, "float32")
        if self.transposed:
            return load(self.buffer, self.origin + (first + offset) * self.rows + k, lanes, self.rows)
        return load(self.buffer, self.origin + k * self.columns + first + offset, lanes)

    def fetch(self, k: Expression, first: Expression, width: int) -> None:
        """Ask for what comes some way behind row k of a tile, where weights have to be waited for."""
        if self.waits:
            size = self.storage.data_size(width)
            fetch_stream(self.buffer, self.storage.data_size(first) * self.rows + k * size, size)

    def scale(self, group: Expression, first: Expression, offset: int, lanes: int) -> Expression:
        """The scales of `lanes` columns."""
        return load(self.scales, group * self.columns + first + offset, lanes)


@dataclass(frozen=True)
class _Rows:
    """Rows of the left operand and of the result that are computed together."""

    x: Buffer
    y: Buffer
    first: Expression
    count: int


def dense_gemv(
    batch: int,
    rows: int,
    columns: int,
    *,
    bias: bool,
    tile: int = 64,
    row_tile: int = 1,
    dtype: str = "float32",
    storage: Storage = FLOAT32,
    waits: bool = False,
) -> tirx.PrimFunc:
    """Kernel (x, weights, [scales], [bias], y): y[m, :] = Σ over k of x[m, k]·W[k, :] (+ bias), for `batch` rows m.

    - `x`: (batch·rows,) of `dtype` (float32 or bool);
    - `weights`: as `pack_dense(stored, tile)` makes them of a matrix W[rows, columns];
    - `scales`: (groups·columns,) float32 beside int8 (one group) and int4 weights (one for each 64 inputs);
    - `bias`: (columns,) float32; `y`: (batch·columns,) float32.

    `waits` says that weights have to be waited for: they are asked for ahead. `row_tile` rows of x share one reading of
    the weights; each row's bits equal those of that row alone, and those of `event_gemv`, which tells the order. Sums
    of integers times 0 or 1 are exact in float32 too, and so the same.

    Raises CompileError for more inputs than exact integer sums allow.
    """
    storage.check_rows(rows)
    with kernel("dense_gemv") as built:
        x = built.argument("x", (batch * rows,), dtype)
        data = built.argument("weights", (rows * storage.data_size(columns),), storage.data_type)
        groups = storage.scale_rows(rows)
        scales = built.argument("scales", (groups * columns,), "float32") if groups else None
        weights = _Weights(data, True, rows, columns, storage=storage, scales=scales, waits=waits)
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
        with independent(batch) as index:
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
        for first_row, count in tiles(rows_out, row_tile, rows=True):
            _tile(_Rows(x, y, origin + first_row, count), weights, bias, first, width)


def _tile(rows: _Rows, weights: _Weights, bias: Buffer | None, first: Expression, width: int) -> None:
    """Emit `rows.count` × `width` sums, held in registers over a block of inputs."""
    total = tir.alloc_buffer((rows.count * width,), "float32")
    places = [(row, offset, lanes) for row in range(rows.count) for offset, lanes in vectors(width, weights.storage)]
    length = weights.storage.sum_block

    def target(row: int, offset: int) -> Expression:
        return (rows.first + row) * weights.columns + first + offset

    def put(row: int, offset: int, lanes: int, value: Expression, add: bool) -> None:
        """Store to y, or add to what is there."""
        place = target(row, offset)
        store(rows.y, place, lanes, load(rows.y, place, lanes) + value if add else value)

    def sum_block_of(block: Expression, count: int, add: bool) -> None:
        """Sum `count` inputs from the start of `block` and put the sums to y, scaled if each block has its scale."""
        for row, offset, lanes in places:
            store(total, row * width + offset, lanes, zero("float32", lanes))
        with tir.serial(0, count) as step:
            k = block * length + step
            weights.fetch(k, first, width)
            for row, offset, lanes in places:
                value = tirx.Cast("float32", rows.x[(rows.first + row) * weights.rows + k])
                product = splat(value, lanes) * weights.at(k, first, offset, lanes, width)
                store(total, row * width + offset, lanes, load(total, row * width + offset, lanes) + product)
        for row, offset, lanes in places:
            value = load(total, row * width + offset, lanes)
            if weights.storage.scaled_by_group:
                value = weights.scale(block, first, offset, lanes) * value
            put(row, offset, lanes, value, add)

    whole, rest = divmod(weights.rows, length)
    from_zero = weights.storage.scaled_by_group  # a scaled sum can be −0.0, which a silent group would not change
    if from_zero:
        for row, offset, lanes in places:
            put(row, offset, lanes, zero("float32", lanes), False)
    elif whole:
        sum_block_of(tirx.const(0, "int32"), length, False)
    if whole > 1 - from_zero:
        with tir.serial(1 - from_zero, whole) as block:
            sum_block_of(block, length, True)
    if rest:
        sum_block_of(tirx.const(whole, "int32"), rest, whole > 0 or from_zero)
    for row, offset, lanes in places:
        if weights.storage.scaled_by_column:
            put(
                row,
                offset,
                lanes,
                weights.scale(0, first, offset, lanes) * load(rows.y, target(row, offset), lanes),
                False,
            )
        if bias is not None:
            put(row, offset, lanes, load(bias, first + offset, lanes), True)
