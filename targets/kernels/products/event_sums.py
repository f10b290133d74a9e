"""The sums of one tile of an event-driven product: floats in the reduction order, integers as fast as they add.

A sum of integers is exact in any order, so int8 and int4 rows that are added as they are (inputs of 0 or 1) go by the
list alone, in int16 and in bytes, and are widened before these overflow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import ceil

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.products.active_list import list_length, positions
from astroedge.targets.kernels.stored_weights import (
    NIBBLE_ZERO,
    cast,
    high_nibbles,
    load_weights,
    low_nibbles,
    nibble_place,
    reinterpret,
    vectors,
)
from astroedge.targets.precision.storage import Storage
from astroedge.targets.tir_builder import Buffer, Expression, chunks, hold, load, splat, store, zero

ROWS_IN_BYTE = 16
"""int4 rows, as nibbles 0 to 15, whose sum a byte holds: 17; and 16 rows of −8 are −128, which fits an int8."""


@dataclass(frozen=True)
class Operands:
    """The parameters of an event-driven product: x and bias may be missing, scales are there for integers."""

    x: Buffer | None
    indices: Buffer
    bounds: Buffer
    weights: Buffer
    scales: Buffer | None
    bias: Buffer | None
    y: Buffer
    rows: int
    columns: int
    storage: Storage


@dataclass(frozen=True)
class Tile:
    """`width` sums from column `first` of output `row`, held in registers while rows of weights are added.

    `origin` is where the weights of these columns begin in the buffer.
    """

    operands: Operands
    row: Expression
    origin: Expression
    first: Expression
    width: int

    def emit(self) -> None:
        """Emit the sums, their scales and the bias."""
        operands, storage = self.operands, self.operands.storage
        if operands.x is None and storage.scaled_by_column:
            self._sum_in_int16()
        elif operands.x is None and storage.scaled_by_group and storage.packs_nibbles:
            self._sum_in_bytes()
        else:
            self._sum_floats()
        if operands.bias is not None:
            for offset, lanes in self._places:
                self._put(offset, lanes, self._y(offset, lanes) + load(operands.bias, self.first + offset, lanes))

    def _sum_floats(self) -> None:
        """Sums of blocks, added up in y; those of int4 groups are scaled one by one, int8 once."""
        storage = self.operands.storage
        total = tir.alloc_buffer((self.width,), "float32")
        count = ceil(self.operands.rows / storage.sum_block)
        add = storage.scaled_by_group or count > 1
        if add:
            self._clear_y()
        with tir.serial(0, count) as block:
            begin, end = positions(self.operands.bounds, self.row, self.operands.rows, block, storage.sum_block)
            self._sum_rows(total, "float32", begin, end, self._places)
            for offset, lanes in self._places:
                value = load(total, offset, lanes)
                if storage.scaled_by_group:
                    value = self._scale(block, offset, lanes) * value
                self._put(offset, lanes, self._y(offset, lanes) + value if add else value)
        if storage.scaled_by_column:
            for offset, lanes in self._places:
                self._put(offset, lanes, self._scale(0, offset, lanes) * self._y(offset, lanes))

    def _sum_in_int16(self) -> None:
        """int16 sums of 256 rows at a time; y keeps the bits of the int32 sums until they are scaled."""
        operands = self.operands
        most = 2**15 // (operands.storage.largest + 1)  # rows whose sum an int16 holds
        total = tir.alloc_buffer((self.width,), "int16")
        count = list_length(operands.bounds, self.row, operands.rows)
        self._clear_y()  # the bits of +0.0 are those of the integer 0
        with tir.serial(0, _parts(count, most)) as part:
            begin = part * most
            end = tirx.min(begin + most, count)
            self._sum_rows(total, "int16", begin, end, vectors(self.width, operands.storage, 32))
            for offset, lanes in self._places:
                integers = reinterpret("int32", self._y(offset, lanes), lanes)
                integers = integers + cast(load(total, offset, lanes), "int32", lanes)
                self._put(offset, lanes, reinterpret("float32", integers, lanes))
        for offset, lanes in self._places:
            integers = reinterpret("int32", self._y(offset, lanes), lanes)
            self._put(offset, lanes, self._scale(0, offset, lanes) * cast(integers, "float32", lanes))

    def _sum_in_bytes(self) -> None:
        """The sum of each group, in bytes where so few rows are active, is scaled and added to y."""
        operands = self.operands
        self._clear_y()
        length = operands.storage.sum_block
        with tir.serial(0, ceil(operands.rows / length)) as group:
            bounds = positions(operands.bounds, self.row, operands.rows, group, length)
            begin, end = hold(bounds[0]), hold(bounds[1])
            with tir.If(end - begin <= ROWS_IN_BYTE):
                with tir.Then():
                    self._add_scaled(group, self._sum_nibbles(begin, end), self._sum_at)
                with tir.Else():
                    self._add_scaled(group, self._sum_more_nibbles(begin, end), lambda column: column)

    def _sum_more_nibbles(self, begin: Expression, end: Expression) -> Buffer:
        """The sum of any number of rows of a group, as int16."""
        total = tir.alloc_buffer((self.width,), "int16")
        for offset, lanes in self._places:
            store(total, offset, lanes, zero("int16", lanes))
        with tir.serial(0, _parts(end - begin, ROWS_IN_BYTE)) as part:
            first = begin + part * ROWS_IN_BYTE
            sums = self._sum_nibbles(first, tirx.min(first + ROWS_IN_BYTE, end))
            for offset, lanes in self._places:
                widened = cast(load(sums, self._sum_at(offset), lanes), "int16", lanes)
                store(total, offset, lanes, load(total, offset, lanes) + widened)
        return total

    def _sum_nibbles(self, begin: Expression, end: Expression) -> Buffer:
        """The sum of at most 16 rows, as int8: of the low nibbles of all bytes, then of the high ones."""
        size = int(self.operands.storage.data_size(self.width))
        sums = tir.alloc_buffer((2 * size,), "int8")
        for offset, lanes in chunks(2 * size, 64):
            store(sums, offset, lanes, zero("int8", lanes))
        with tir.serial(begin, end) as position:
            _, start = self._weights_at(position)
            for offset, lanes in chunks(size, 64):
                pairs = load(self.operands.weights, start + offset, lanes)
                for place, nibbles in ((offset, low_nibbles(pairs)), (size + offset, high_nibbles(pairs))):
                    store(sums, place, lanes, load(sums, place, lanes) + cast(nibbles, "int8", lanes))
        bias = hold(tirx.Cast("int8", (end - begin) * NIBBLE_ZERO))
        for offset, lanes in chunks(2 * size, 64):
            store(sums, offset, lanes, load(sums, offset, lanes) - splat(bias, lanes))
        return sums

    def _sum_at(self, offset: int) -> int:
        """Where among the sums of nibbles that of a column is."""
        byte, high = nibble_place(self.width, offset)
        return byte + int(self.operands.storage.data_size(self.width)) * high

    def _add_scaled(self, group: Expression, sums: Buffer, place: Callable[[int], int]) -> None:
        """Add a group's scaled sums to y; that of a column is at `place(column)`."""
        for offset, lanes in self._places:
            value = self._scale(group, offset, lanes) * cast(load(sums, place(offset), lanes), "float32", lanes)
            self._put(offset, lanes, self._y(offset, lanes) + value)

    def _sum_rows(
        self, total: Buffer, dtype: str, begin: Expression, end: Expression, places: list[tuple[int, int]]
    ) -> None:
        """Set `total` to the sum of the rows at positions `begin` to `end` of the list."""
        operands = self.operands
        for offset, lanes in places:
            store(total, offset, lanes, zero(dtype, lanes))
        with tir.serial(begin, end) as position:
            k, start = self._weights_at(position)
            for offset, lanes in places:
                addend = load_weights(operands.weights, operands.storage, start, self.width, offset, lanes, dtype)
                if operands.x is not None:
                    addend = splat(operands.x[self.row * operands.rows + k], lanes) * addend
                store(total, offset, lanes, load(total, offset, lanes) + addend)

    def _weights_at(self, position: Expression) -> tuple[Expression, Expression]:
        """The input at a position of the list, and where its weights for these columns begin."""
        operands = self.operands
        k = hold(operands.indices[self.row * operands.rows + position])
        return k, self.origin + k * operands.storage.data_size(operands.columns)

    @cached_property
    def _places(self) -> list[tuple[int, int]]:
        return vectors(self.width, self.operands.storage)

    def _clear_y(self) -> None:
        for offset, lanes in self._places:
            self._put(offset, lanes, zero("float32", lanes))

    def _y(self, offset: int, lanes: int) -> Expression:
        return load(self.operands.y, self.row * self.operands.columns + self.first + offset, lanes)

    def _put(self, offset: int, lanes: int, value: Expression) -> None:
        store(self.operands.y, self.row * self.operands.columns + self.first + offset, lanes, value)

    def _scale(self, group: Expression, offset: int, lanes: int) -> Expression:
        return load(self.operands.scales, group * self.operands.columns + self.first + offset, lanes)


def _parts(count: Expression, size: int) -> Expression:
    """How many pieces of `size` cover `count`, which is not negative."""
    return tirx.truncdiv(count + (size - 1), tirx.const(size, "int32"))
