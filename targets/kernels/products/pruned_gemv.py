"""Products with pruned weights: one number after the other is added where its column is, and zeros are never read.

A vector of a dense kernel multiplies 16 weights at a time, at 80 % zeros 13 of them for nothing, and still wins while
the weights lie in a near cache: each addition at a computed place takes a cycle or two. What the lists save is moving
the zeros, and at 90 % and more their arithmetic too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.products.active_list import bounds_size, list_length, positions
from astroedge.targets.kernels.products.fixed_point import LOW_BITS, PLANES, block_count, pair_count
from astroedge.targets.kernels.products.pruned_lists import TILE, PrunedWeights, entry_type
from astroedge.targets.kernels.stored_weights import cast
from astroedge.targets.precision.storage import BLOCK, Storage
from astroedge.targets.tir_builder import (
    Buffer,
    Expression,
    hold,
    in_vectors,
    independent,
    kernel,
    load,
    splat,
    store,
    tiles,
    zero,
)

REAL, LISTED, FIXED = "real", "listed", "fixed"
"""Inputs as they are; by their active list, as numbers or as ones; in fixed point."""

_MAGNITUDE = 0x7FFFFFFF
_INFINITE = 0x7F800000
_HALF_BITS = 16


@dataclass(frozen=True)
class PrunedForm:
    """A product y[m, :] = Σ over k of x[m, k]·W[k, :] for `batch` rows m, with W[rows, columns] in lists.

    `inputs` is REAL, LISTED or FIXED; listed ones are `graded` where they are other numbers than 0 and 1. `entries` is
    how long the lists are in all.
    """

    rows: int
    columns: int
    entries: int
    storage: Storage
    inputs: str = REAL
    graded: bool = False
    batch: int = 1
    dtype: str = "float32"

    @property
    def reads_x(self) -> bool:
        """Whether the inputs are read as numbers."""
        return self.inputs == REAL or self.graded

    @property
    def sum_type(self) -> str:
        """What the terms of a block are added in: integers of known size are exact in any order."""
        if self.inputs == FIXED:
            return "int64"
        return "int32" if self.storage.is_integer and not self.reads_x else "float32"

    @property
    def sums_at_once(self) -> bool:
        """Whether all inputs are one block: ones times integers with one scale."""
        return self.sum_type == "int32" and self.storage.scaled_by_column


def pruned_gemv(form: PrunedForm, tile: int = TILE) -> tirx.PrimFunc:
    """Kernel ([x], [indices, bounds], [planes, factors], weights, [gaps], starts, [scales], y, sums).

    - `x`: (batch·rows,) of `form.dtype`, for real and for graded inputs;
    - `indices` and `bounds` of listed inputs are those of `active_list`, `planes` and `factors` those of `fixed_point`;
    - `weights` to `scales`: the arrays of `pack_pruned(stored, tile)`;
    - `y`: (batch·columns,) float32; `sums`: as many of `form.sum_type`, the sums of one block.

    The bits are those of `dense_gemv`, of `event_gemv` for listed inputs and of `fixed_gemv` for those in fixed point.
    The order of additions is theirs, and a term that is left out would be +0.0 or −0.0, which changes no sum: none is
    ever −0.0. An infinite input, or NaN, is multiplied by the zeros too, which gives NaNs, as it does there.
    """
    form.storage.check_rows(form.rows)
    with kernel("pruned_gemv") as built:
        rows, columns, batch = form.rows, form.columns, form.batch
        listed, fixed = form.inputs == LISTED, form.inputs == FIXED
        groups = form.storage.scale_rows(rows)

        def argument(given: bool, name: str, size: int, dtype: str) -> Buffer | None:
            return built.argument(name, (size,), dtype) if given else None

        x = argument(form.reads_x, "x", batch * rows, form.dtype)
        indices = argument(listed, "indices", batch * rows, "int32")
        bounds = argument(listed, "bounds", batch * bounds_size(rows), "int32")
        planes = argument(fixed, "planes", batch * PLANES * pair_count(rows), "int32")
        factors = argument(fixed, "factors", batch * block_count(rows), "float32")
        weights = built.argument("weights", (form.entries,), entry_type(form.storage))
        gaps = argument(not form.storage.packs_nibbles, "gaps", form.entries, "uint8")
        starts = built.argument("starts", (ceil(columns / tile) * (rows + 1),), "int32")
        scales = argument(groups > 0, "scales", groups * columns, "float32")
        y = built.argument("y", (batch * columns,), "float32")
        sums = built.argument("sums", (batch * columns,), form.sum_type)
        lists = PrunedWeights(weights, gaps, form.storage)
        operands = _Operands(form, x, indices, bounds, planes, factors, lists, starts, scales, y, sums)
        for first, width in tiles(columns, tile):
            with independent(batch, rows=True) as row:
                begins = tirx.truncdiv(first, tirx.const(tile, "int32")) * (rows + 1)
                _Tile(operands, row, first, width, begins).emit()
    return built.function


@dataclass(frozen=True)
class _Operands:
    form: PrunedForm
    x: Buffer | None
    indices: Buffer | None
    bounds: Buffer | None
    planes: Buffer | None
    factors: Buffer | None
    lists: PrunedWeights
    starts: Buffer
    scales: Buffer | None
    y: Buffer
    sums: Buffer


@dataclass(frozen=True)
class _Tile:
    """`width` columns from `first` of output `row`; `begins` is the place of their lists in `starts`."""

    operands: _Operands
    row: Expression
    first: Expression
    width: int
    begins: Expression

    def emit(self) -> None:
        """Emit the sums of all blocks, added up in y, and the scales of columns."""
        operands, form = self.operands, self.operands.form
        self._for_vectors(lambda place, lanes: store(operands.y, place, lanes, zero("float32", lanes)))
        blocks = 1 if form.sums_at_once else ceil(form.rows / form.storage.sum_block)
        with tir.serial(0, blocks) as block:
            self._for_vectors(lambda place, lanes: store(operands.sums, place, lanes, zero(form.sum_type, lanes)))
            with self._inputs(block) as k:
                self._add_row(k)
            self._for_vectors(lambda place, lanes: self._move_sums(block, place, lanes))
        if form.storage.scaled_by_column:
            self._for_vectors(self._scale_y)

    @contextmanager
    def _inputs(self, block: Expression) -> Iterator[Expression]:
        """A loop over the inputs of a block, or over the active ones."""
        operands, rows = self.operands, self.operands.form.rows
        length = operands.form.storage.sum_block
        if operands.indices is None:
            with tir.serial(0, hold(tirx.min(rows - block * length, length))) as step:
                yield block * length + step
            return
        if operands.form.sums_at_once:
            begin, end = tirx.const(0, "int32"), list_length(operands.bounds, self.row, rows)
        else:
            begin, end = (hold(bound) for bound in positions(operands.bounds, self.row, rows, block, length))
        with tir.serial(0, end - begin) as step:
            yield hold(operands.indices[self.row * rows + begin + step])

    def _add_row(self, k: Expression) -> None:
        """Add the weights of input k, times its value, to the sums."""
        form = self.operands.form
        if form.inputs == FIXED:
            value = hold(self._fixed(k))
            with tir.If(value != tirx.const(0, "int64")), tir.Then():
                self._add_list(k, lambda weight: value * weight)
        elif not form.reads_x:
            self._add_list(k, lambda weight: weight)
        else:
            assert self.operands.x is not None
            value = hold(tirx.Cast("float32", self.operands.x[self.row * form.rows + k]))
            magnitude = hold(tirx.bitwise_and(tirx.reinterpret("int32", value), tirx.const(_MAGNITUDE, "int32")))
            with tir.If(magnitude >= tirx.const(_INFINITE, "int32")):
                with tir.Then():
                    self._add_all(k, value)
                with tir.Else(), tir.If(magnitude > tirx.const(0, "int32")), tir.Then():
                    self._add_list(k, lambda weight: value * weight)

    def _fixed(self, k: Expression) -> Expression:
        """The integer that stands for input k."""
        assert self.operands.planes is not None
        pairs = pair_count(self.operands.form.rows)
        shift = _HALF_BITS * (1 - tirx.bitwise_and(k, tirx.const(1, "int32")))
        place = self.row * PLANES * pairs + tirx.shift_right(k, tirx.const(1, "int32"))
        high, low = (
            tirx.shift_right(self.operands.planes[place + plane * pairs] << shift, tirx.const(_HALF_BITS, "int32"))
            for plane in range(PLANES)
        )
        return tirx.Cast("int64", (high << tirx.const(LOW_BITS, "int32")) + low)

    def _add_list(self, k: Expression, term: Callable[[Expression], Expression]) -> None:
        """Add the terms of the weights in the list of input k."""
        operands, sums = self.operands, self.operands.sums
        begin, end = (hold(operands.starts[self.begins + k + place]) for place in range(2))
        column = tir.alloc_buffer((1,), "int32")
        tir.buffer_store(column, self._place(0), [0])
        with tir.serial(0, end - begin) as step:
            place = begin + step
            target = hold(column[0] + operands.lists.gap(place))
            tir.buffer_store(column, target, [0])
            addend = term(operands.lists.weight(place, operands.form.sum_type))
            tir.buffer_store(sums, sums[target] + addend, [target])

    def _add_all(self, k: Expression, value: Expression) -> None:
        """Add the terms of all weights of input k, the zeros too: its value is infinite or NaN."""
        operands, sums = self.operands, self.operands.sums
        end = hold(operands.starts[self.begins + k + 1])
        entry, column = (tir.alloc_buffer((1,), "int32") for _ in range(2))  # the next of the list, and its place
        tir.buffer_store(entry, operands.starts[self.begins + k], [0])
        tir.buffer_store(column, self._place(-1), [0])
        with tir.If(entry[0] < end), tir.Then():
            tir.buffer_store(column, self._place(operands.lists.gap(entry[0])), [0])
        nothing = tirx.const(float("nan"), "float32")  # what such a value times 0 is
        with tir.serial(0, self.width) as step:
            target = self._place(step)
            with tir.If(column[0] == target):
                with tir.Then():
                    addend = value * operands.lists.weight(entry[0], "float32")
                    tir.buffer_store(sums, sums[target] + addend, [target])
                    tir.buffer_store(entry, entry[0] + 1, [0])
                    with tir.If(entry[0] < end), tir.Then():
                        tir.buffer_store(column, target + operands.lists.gap(entry[0]), [0])
                with tir.Else():
                    tir.buffer_store(sums, sums[target] + nothing, [target])

    def _move_sums(self, block: Expression, place: Expression, lanes: int) -> None:
        """Add the sums of a block to y; those of a group are scaled."""
        operands, form = self.operands, self.operands.form
        value = load(operands.sums, place, lanes)
        if form.inputs == FIXED:  # exact in float64, so rounded once
            assert operands.factors is not None
            factors = block_count(form.rows)
            factor = operands.factors[self.row * factors + tirx.truncdiv(block * form.storage.sum_block, BLOCK)]
            value = cast(cast(value, "float64", lanes), "float32", lanes) * splat(factor, lanes)
        else:
            value = cast(value, "float32", lanes)
        if form.storage.scaled_by_group:
            value = load(operands.scales, block * form.columns + self._column(place), lanes) * value
        store(operands.y, place, lanes, load(operands.y, place, lanes) + value)

    def _scale_y(self, place: Expression, lanes: int) -> None:
        operands = self.operands
        scales = load(operands.scales, self._column(place), lanes)
        store(operands.y, place, lanes, scales * load(operands.y, place, lanes))

    def _place(self, column: Expression) -> Expression:
        """Where in y and in the sums a column of the tile is."""
        return self.row * self.operands.form.columns + self.first + column

    def _column(self, place: Expression) -> Expression:
        """The column whose sum is at a place."""
        return place - self.row * self.operands.form.columns

    def _for_vectors(self, emit: Callable[[Expression, int], None]) -> None:
        """Emit something for every vector of the tile: its place and its lanes."""
        in_vectors(self.width, lambda start, lanes: emit(self._place(start), lanes))
