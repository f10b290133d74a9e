"""int4 rows of spikes from memory: the rows of a group are summed line by line, as bytes, and scaled at once.

A group has few active rows. So the rows of one line (128 columns) follow each other, whose sums stay in registers,
before the next line's; what the next group will read is fetched meanwhile. Where float32 holds all sums of scaled sums,
they are integers times one number: then integers are added, which takes half the instructions.
"""

from __future__ import annotations

from math import ceil

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.prefetch import LINE_BYTES, fetch
from astroedge.targets.kernels.products.active_list import list_length, positions
from astroedge.targets.kernels.products.event_sums import ROWS_IN_BYTE
from astroedge.targets.kernels.products.row_pieces import RowPiece
from astroedge.targets.kernels.stored_weights import (
    NIBBLE_ZERO,
    cast,
    high_nibbles,
    low_nibbles,
    nibble_place,
    reinterpret,
    vectors,
)
from astroedge.targets.tir_builder import Buffer, Expression, chunks, hold, load, splat, store, zero

AHEAD = 8  # rows: about those of another group


class NibbleRows(RowPiece):
    """A piece whose sums are added up in y, group by group."""

    lanes = 16

    def emit(self) -> None:
        """Emit the sums of all groups that anything fires in; the others would add +0.0 or −0.0 to +0.0."""
        operands = self.operands
        length = operands.storage.sum_block
        last = hold(list_length(operands.bounds, self.row, operands.rows) - 1)
        self.for_vectors(lambda place, lanes: self.put(place, lanes, zero("float32", lanes)))
        starts = tir.alloc_buffer((length + AHEAD,), "int32")
        with tir.serial(0, ceil(operands.rows / length)) as group:
            bounds = positions(operands.bounds, self.row, operands.rows, group, length)
            begin, count = hold(bounds[0]), hold(bounds[1] - bounds[0])
            with tir.If(count > 0), tir.Then():
                with tir.serial(0, count + AHEAD) as index:
                    tir.buffer_store(starts, self.start_of(self.listed(tirx.min(begin + index, last))), [index])
                with tir.If(count <= ROWS_IN_BYTE):
                    with tir.Then():
                        self.for_lines(lambda start, width: self._add_few(group, starts, count, start, width))
                    with tir.Else():
                        self.for_lines(lambda start, width: self._add_many(group, starts, count, start, width))

    def _add_few(self, group: Expression, starts: Buffer, count: Expression, start: Expression, width: int) -> None:
        """Add a line of a group whose sums bytes hold."""
        nothing = tirx.const(0, "int32")
        self._add_scaled(group, self._sum(starts, nothing, count, start, width), start, width)

    def _add_many(self, group: Expression, starts: Buffer, count: Expression, start: Expression, width: int) -> None:
        """Add a line of a group of any number of rows: bytes of 16 rows at a time, added up as int16."""
        size = 2 * self._line_bytes(width)
        total = tir.alloc_buffer((size,), "int16")
        for offset, lanes in chunks(size, 32):
            store(total, offset, lanes, zero("int16", lanes))
        parts = tirx.truncdiv(count + (ROWS_IN_BYTE - 1), tirx.const(ROWS_IN_BYTE, "int32"))
        with tir.serial(0, parts) as part:
            first = hold(part * ROWS_IN_BYTE)
            sums = self._sum(starts, first, hold(tirx.min(first + ROWS_IN_BYTE, count)), start, width)
            for offset, lanes in chunks(size, 32):
                store(
                    total, offset, lanes, load(total, offset, lanes) + cast(load(sums, offset, lanes), "int16", lanes)
                )
        self._add_scaled(group, total, start, width)

    def _sum(self, starts: Buffer, first: Expression, end: Expression, start: Expression, width: int) -> Buffer:
        """The sums of at most 16 rows of a line, as int8: of the low nibbles of all bytes, then of the high ones."""
        size = self._line_bytes(width)
        sums = tir.alloc_buffer((2 * size,), "int8")
        for offset, lanes in chunks(2 * size, LINE_BYTES):
            store(sums, offset, lanes, zero("int8", lanes))
        place = self.operands.storage.data_size(start)
        with tir.serial(first, end) as index:
            fetch(self.operands.weights, starts[index + AHEAD] + place)
            for offset, lanes in chunks(size, LINE_BYTES):
                pairs = load(self.operands.weights, starts[index] + place + offset, lanes)
                for at, nibbles in ((offset, low_nibbles(pairs)), (size + offset, high_nibbles(pairs))):
                    store(sums, at, lanes, load(sums, at, lanes) + cast(nibbles, "int8", lanes))
        bias = hold(tirx.Cast("int8", (end - first) * NIBBLE_ZERO))
        for offset, lanes in chunks(2 * size, LINE_BYTES):
            store(sums, offset, lanes, load(sums, offset, lanes) - splat(bias, lanes))
        return sums

    def _add_scaled(self, group: Expression, sums: Buffer, start: Expression, width: int) -> None:
        """Add a line's sums to y, each by its scale."""
        operands = self.operands
        line = LINE_BYTES * (4 if operands.units is None else 1)
        following = (group + 1) * operands.columns + self.first + start
        for offset in range(0, width, LINE_BYTES * LINE_BYTES // line):
            fetch(operands.scales, following + offset)
        for offset, lanes in vectors(width, operands.storage, self.lanes):
            byte, high = nibble_place(width, offset)
            total = load(sums, byte + self._line_bytes(width) * high, lanes)
            self._add_vector(group, start + offset, lanes, total)

    def _add_vector(self, group: Expression, place: Expression, lanes: int, total: Expression) -> None:
        """Add the sums of some columns."""
        value = self.scale(group, place, lanes) * cast(total, "float32", lanes)
        self.put(place, lanes, self.y(place, lanes) + value)

    def _line_bytes(self, width: int) -> int:
        return int(self.operands.storage.data_size(width))


class ExactNibbleRows(NibbleRows):
    """The same where float32 holds every sum: y keeps the bits of int32 sums, which units multiply in the end.

    A sum of bytes times its scale fits an int16: it is one of at most 16 numbers from −8 to 7.
    """

    lanes = 32

    def emit(self) -> None:
        """Emit the sums of all groups; the bits of +0.0, which they begin with, are those of the integer 0."""
        super().emit()
        self.for_vectors(self._scale_sums)

    def _add_vector(self, group: Expression, place: Expression, lanes: int, total: Expression) -> None:
        operands = self.operands
        wide = "int16" if total.ty.dtype.startswith("int8") else "int32"
        scales = load(operands.scales, group * operands.columns + self.first + place, lanes)
        value = cast(cast(scales, wide, lanes) * cast(total, wide, lanes), "int32", lanes)
        sums = reinterpret("int32", self.y(place, lanes), lanes) + value
        self.put(place, lanes, reinterpret("float32", sums, lanes))

    def _scale_sums(self, place: Expression, lanes: int) -> None:
        sums = cast(reinterpret("int32", self.y(place, lanes), lanes), "float32", lanes)
        self.put(place, lanes, load(self.operands.units, self.first + place, lanes) * sums)
