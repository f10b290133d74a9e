"""A matrix–vector product that reads only the weight rows of the inputs that are active."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.active_list import bounds_size, positions
from astroedge.targets.kernels.authoring import (
    Buffer,
    Expression,
    hold,
    independent,
    kernel,
    load,
    register_floats,
    splat,
    store,
    tiles,
    zero,
)
from astroedge.targets.kernels.stored_weights import (
    cast,
    check_rows,
    data_size,
    data_type,
    is_integer,
    load_weights,
    pack_nibbles,
    scale_rows,
    sum_block,
    vectors,
)
from astroedge.targets.weight_format import Precision, StoredMatrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from astroedge.targets.board_file import Target


def event_tile(target: Target, graded: bool = False, storage: Precision = "float32") -> int:
    """How many columns to keep in registers at a time, with room left for what x86 cannot take from memory."""
    if is_integer(storage) and not graded:
        return 128
    floats = register_floats(target)
    if storage == "int4":
        return 128
    direct = target.family == "x86" and not graded and storage == "float32"
    return min(128, floats if direct else floats * 3 // 4)


def pack_event(stored: StoredMatrix) -> tuple[NDArray[np.generic], NDArray[np.float32] | None]:
    """The flat arrays `weights` and `scales` that `event_gemv` reads; no scales where weights are floats."""
    values = pack_nibbles(stored.values) if stored.precision == "int4" else stored.values
    return values.ravel(), None if stored.scales is None else stored.scales.ravel()


def event_gemv(
    rows: int,
    columns: int,
    *,
    bias: bool,
    graded: bool = False,
    batch: int = 1,
    shared: bool = True,
    tile: int = 128,
    storage: Precision = "float32",
) -> tirx.PrimFunc:
    """Kernel ([x], indices, bounds, weights, [scales], [bias], y): y[m] = Σ over active k of (x[m, k]·)W[k] (+ bias).

    - `x`: (batch·rows,) float32, only if `graded`: each row of W is multiplied by its value (else the values are 1);
    - `indices`: (batch·rows,) int32 and `bounds`: (batch·bounds_size(rows),) int32, as `active_list` writes them;
    - `weights`: W[rows, columns] as `pack_event` makes it of a stored matrix: row-major, flat; float32 ones may be a
      state, and if not `shared`, there is one such matrix for each of the `batch` rows;
    - `scales`: (groups·columns,) float32 beside int8 (one group) and int4 weights (one for each 64 inputs);
    - `bias`: (columns,) and `y`: (batch·columns,) float32.

    The reduction order: blocks of 256 inputs, ascending inside a block from +0.0, block sums added ascending, bias
    last. A block sum is never −0.0, so a skipped input (or block) changes no bit: the result equals `dense_gemv`'s.
    int8 sums are scaled once, before the bias. int4 weights are summed by groups of 64 inputs; each sum is scaled, and
    they are added to +0.0 ascending. Integers whose inputs are 0 or 1 are added as integers: exact in any order.

    The weights are not packed: few rows are read, and a long piece of each (`tile` columns) suits the prefetcher;
    on 4096×1024 at 10 % row-major tiles of 128 columns took 21 µs, packed tiles 28 to 34 µs.

    Raises CompileError for more inputs than exact integer sums allow.
    """
    check_rows(rows, storage)
    matrices = 1 if shared else batch
    pitch = data_size(columns, storage)
    with kernel("event_gemv") as built:
        x = built.argument("x", (batch * rows,), "float32") if graded else None
        indices = built.argument("indices", (batch * rows,), "int32")
        bounds = built.argument("bounds", (batch * bounds_size(rows),), "int32")
        weights = built.argument("weights", (matrices * rows * pitch,), data_type(storage))
        groups = scale_rows(rows, storage)
        scales = built.argument("scales", (groups * columns,), "float32") if groups else None
        offsets = built.argument("bias", (columns,), "float32") if bias else None
        y = built.argument("y", (batch * columns,), "float32")
        operands = _Operands(x, indices, bounds, weights, scales, offsets, y, rows, columns, storage)
        with independent(batch, rows=shared) as row:
            matrix = 0 if shared else row * rows * pitch
            for first, width in tiles(columns, tile):
                _Tile(operands, row, matrix + data_size(first, storage), first, width).emit()
    return built.function


@dataclass(frozen=True)
class _Operands:
    x: Buffer | None
    indices: Buffer
    bounds: Buffer
    weights: Buffer
    scales: Buffer | None
    bias: Buffer | None
    y: Buffer
    rows: int
    columns: int
    storage: Precision


@dataclass(frozen=True)
class _Tile:
    """`width` sums from column `first` of output `row`, held in registers while a block's weights are added.

    `origin` is where the weights of these columns begin.
    """

    operands: _Operands
    row: Expression
    origin: Expression
    first: Expression
    width: int

    def emit(self) -> None:
        """Emit the sums, their scales and the bias."""
        operands = self.operands
        integer = is_integer(operands.storage) and operands.x is None
        if operands.storage == "int8" and integer:
            self._sum_int8()
        else:
            self._sum_blocks("int16" if integer else "float32")
        if operands.bias is not None:
            for offset, lanes in self._places:
                self._put(offset, lanes, self._y(offset, lanes) + load(operands.bias, self.first + offset, lanes))

    @property
    def _places(self) -> list[tuple[int, int]]:
        return vectors(self.width, self.operands.storage)

    def _y(self, offset: int, lanes: int) -> Expression:
        return load(self.operands.y, self.row * self.operands.columns + self.first + offset, lanes)

    def _put(self, offset: int, lanes: int, value: Expression) -> None:
        store(self.operands.y, self.row * self.operands.columns + self.first + offset, lanes, value)

    def _scale(self, group: Expression, offset: int, lanes: int) -> Expression:
        return load(self.operands.scales, group * self.operands.columns + self.first + offset, lanes)

    def _sum_blocks(self, dtype: str) -> None:
        """Sums of blocks in `dtype`, added up in y; those of int4 blocks are scaled one by one, int8 once."""
        storage = self.operands.storage
        total = tir.alloc_buffer((self.width,), dtype)
        count = ceil(self.operands.rows / sum_block(storage))
        first_counts = storage == "int4" or count > 1
        if first_counts:
            for offset, lanes in self._places:
                self._put(offset, lanes, zero("float32", lanes))
        with tir.serial(0, count) as block:
            self._sum_block(total, dtype, block)
            for offset, lanes in self._places:
                value = cast(load(total, offset, lanes), "float32", lanes)
                if storage == "int4":
                    value = self._scale(block, offset, lanes) * value
                self._put(offset, lanes, self._y(offset, lanes) + value if first_counts else value)
        if storage == "int8":
            for offset, lanes in self._places:
                self._put(offset, lanes, self._scale(0, offset, lanes) * self._y(offset, lanes))

    def _sum_int8(self) -> None:
        """Integer sums: 256 rows of int8 fit an int16; blocks are added in int32."""
        total = tir.alloc_buffer((self.width,), "int16")
        whole = tir.alloc_buffer((self.width,), "int32")
        for offset, lanes in self._places:
            store(whole, offset, lanes, zero("int32", lanes))
        with tir.serial(0, ceil(self.operands.rows / sum_block("int8"))) as block:
            self._sum_block(total, "int16", block)
            for offset, lanes in self._places:
                widened = cast(load(total, offset, lanes), "int32", lanes)
                store(whole, offset, lanes, load(whole, offset, lanes) + widened)
        for offset, lanes in self._places:
            self._put(offset, lanes, self._scale(0, offset, lanes) * cast(load(whole, offset, lanes), "float32", lanes))

    def _sum_block(self, total: Buffer, dtype: str, block: Expression) -> None:
        """Set `total` to the sum of the active rows of one block."""
        operands, storage = self.operands, self.operands.storage
        for offset, lanes in self._places:
            store(total, offset, lanes, zero(dtype, lanes))
        begin, end = positions(operands.bounds, self.row, operands.rows, block, sum_block(storage))
        with tir.serial(begin, end) as position:
            k = hold(operands.indices[self.row * operands.rows + position])
            start = self.origin + k * data_size(operands.columns, storage)
            for offset, lanes in self._places:
                addend = load_weights(operands.weights, storage, start, self.width, offset, lanes, dtype)
                if operands.x is not None:
                    addend = splat(operands.x[self.row * operands.rows + k], lanes) * addend
                store(total, offset, lanes, load(total, offset, lanes) + addend)
