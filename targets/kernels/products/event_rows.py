"""Event-driven products of weights that no near cache holds: long pieces of rows, side by side, fetched ahead.

What such a product costs is the waiting for its weights. `event_gemv` takes a short piece of one row after the other,
which keeps the sums in registers; here long pieces of several rows are read in step while the same piece of the rows
that come next is fetched, and the sums lie in the first cache. int4 weights, whose groups are short, go row by row
inside a group (`nibble_rows`).
"""

from __future__ import annotations

from math import ceil

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.products.active_list import bounds_size, list_length, positions
from astroedge.targets.kernels.products.nibble_rows import ExactNibbleRows, NibbleRows
from astroedge.targets.kernels.products.row_pieces import RowOperands, RowPiece
from astroedge.targets.kernels.stored_weights import cast, load_weights, reinterpret, vectors
from astroedge.targets.precision.storage import FLOAT32, Storage
from astroedge.targets.tir_builder import (
    Buffer,
    Expression,
    hold,
    independent,
    kernel,
    load,
    splat,
    store,
    tiles,
    zero,
)

ABREAST = 8  # rows that are read at the same time
PIECE_BYTES = 2048  # of a row: half a page


def sums_type(storage: Storage, graded: bool) -> str | None:
    """The dtype of the parameter `sums` of `event_rows`; None where it has none."""
    if graded or not storage.is_integer:
        return "float32"
    return "int16" if storage.scaled_by_column else None


def event_rows(
    rows: int,
    columns: int,
    *,
    graded: bool = False,
    batch: int = 1,
    storage: Storage = FLOAT32,
    short_scales: bool = False,
    exact_sums: bool = False,
    piece_bytes: int = PIECE_BYTES,
) -> tirx.PrimFunc:
    """Kernel ([x], indices, bounds, weights, [scales], [units], y, [sums]): the product of `event_gemv`, without bias.

    The bits are those of `event_gemv`, and so are the parameters but for these:

    - with `short_scales` of int4 weights, `scales` are int8 and `units`, (columns,) float32, multiply them
      (`precision/short_scales.py`); `exact_sums` says that float32 holds all sums of them (`sums_are_exact`);
    - `sums`: (batch·columns,) of the dtype that `sums_type` says, the sums of one block, where it says one.

    Rows are read in pieces of `piece_bytes`, whole lines, for threads to divide. On weights of 960 MB at 10 %, 2048 ×
    8192 took 0.84 of the time of `event_gemv` as float32, 0.56 as int8 and 0.28 as int4 (fresh lists at every turn, an
    Intel Xeon with AVX-512); pieces of 512 bytes took up to a third longer.

    Raises CompileError for more inputs than exact integer sums allow.
    """
    storage.check_rows(rows)
    with kernel("event_gemv") as built:
        groups = storage.scale_rows(rows)
        sums = sums_type(storage, graded)
        operands = RowOperands(
            built.argument("x", (batch * rows,), "float32") if graded else None,
            built.argument("indices", (batch * rows,), "int32"),
            built.argument("bounds", (batch * bounds_size(rows),), "int32"),
            built.argument("weights", (rows * storage.data_size(columns),), storage.data_type),
            built.argument("scales", (groups * columns,), "int8" if short_scales else "float32") if groups else None,
            built.argument("units", (columns,), "float32") if short_scales else None,
            built.argument("y", (batch * columns,), "float32"),
            built.argument("sums", (batch * columns,), sums) if sums else None,
            rows,
            columns,
            storage,
        )
        piece = piece_bytes * 8 // storage.bits
        nibbles = ExactNibbleRows if exact_sums else NibbleRows
        kind = nibbles if sums is None else _IntegerRows if sums == "int16" else _FloatRows
        for first, width in tiles(columns, piece):
            with independent(batch, rows=True) as row:
                kind(operands, row, first, width).emit()
    return built.function


class _SummedRows(RowPiece):
    """A piece whose rows are added to `sums`, several at a time."""

    dtype = "float32"
    lanes = 16

    @property
    def _sums(self) -> Buffer:
        assert self.operands.sums is not None
        return self.operands.sums

    def _clear(self, buffer: Buffer, dtype: str) -> None:
        self.for_vectors(lambda place, lanes: store(buffer, self.at(place), lanes, zero(dtype, lanes)), self.lanes)

    def _add_rows(self, sums: Buffer, begin: Expression, end: Expression) -> None:
        """Add the rows at positions `begin` to `end` of the list: eights, then what is left as a 4, a 2 and a 1."""
        last = hold(list_length(self.operands.bounds, self.row, self.operands.rows) - 1)
        count = hold(end - begin)
        with tir.serial(0, tirx.truncdiv(count, tirx.const(ABREAST, "int32"))) as index:
            self._add_abreast(sums, begin + index * ABREAST, ABREAST, last)
        size = ABREAST // 2
        while size:
            with tir.If(tirx.bitwise_and(count, tirx.const(size, "int32")) > 0), tir.Then():
                self._add_abreast(sums, begin + tirx.bitwise_and(count, tirx.const(-2 * size, "int32")), size, last)
            size //= 2

    def _add_abreast(self, sums: Buffer, position: Expression, count: int, last: Expression) -> None:
        """Add `count` rows from a position of the list, in its order, and fetch those that follow."""
        operands = self.operands
        listed = [self.listed(position + index) for index in range(count)]
        starts = [hold(self.start_of(k)) for k in listed]
        nexts = [hold(self.start_of(self.listed(tirx.min(position + count + index, last)))) for index in range(count)]
        factors = [] if operands.x is None else [hold(operands.x[self.row * operands.rows + k]) for k in listed]

        def add(start: Expression, width: int) -> None:
            for row in nexts:
                self.fetch(row, start)
            for offset, lanes in vectors(width, operands.storage, self.lanes):
                place = self.at(start + offset)
                total = load(sums, place, lanes)
                for index, row in enumerate(starts):
                    begin = row + operands.storage.data_size(start)
                    addend = load_weights(operands.weights, operands.storage, begin, width, offset, lanes, self.dtype)
                    total = total + (splat(factors[index], lanes) * addend if factors else addend)
                store(sums, place, lanes, total)

        self.for_lines(add)


class _FloatRows(_SummedRows):
    """Sums in float32 in the reduction order: blocks of inputs, or groups, each scaled."""

    def emit(self) -> None:
        """Emit the sums of all blocks, added up in y."""
        operands, storage = self.operands, self.operands.storage
        count = ceil(operands.rows / storage.sum_block)
        apart = count > 1 or storage.scaled_by_group
        sums = self._sums if apart else operands.y
        self._clear(operands.y, "float32")
        if apart:
            self._clear(sums, "float32")
        with tir.serial(0, count) as block:
            begin, end = positions(operands.bounds, self.row, operands.rows, block, storage.sum_block)
            self._add_rows(sums, hold(begin), hold(end))
            if apart:
                self._move_sums(block)
        if storage.scaled_by_column:
            self.for_vectors(
                lambda place, lanes: self.put(place, lanes, self.scale(0, place, lanes) * self.y(place, lanes))
            )

    def _move_sums(self, block: Expression) -> None:
        """Add the sums of a block to y and begin the next block at +0.0."""

        def move(place: Expression, lanes: int) -> None:
            value = load(self._sums, self.at(place), lanes)
            if self.operands.storage.scaled_by_group:
                value = self.scale(block, place, lanes) * value
            self.put(place, lanes, self.y(place, lanes) + value)
            store(self._sums, self.at(place), lanes, zero("float32", lanes))

        self.for_vectors(move)


class _IntegerRows(_SummedRows):
    """int8 rows: int16 sums of as many rows as these hold; y keeps the bits of the int32 sums until they are scaled."""

    dtype = "int16"
    lanes = 32

    def emit(self) -> None:
        """Emit the sums of the whole list and scale them."""
        operands = self.operands
        most = 2**15 // (operands.storage.largest + 1)  # rows whose sum an int16 holds
        count = hold(list_length(operands.bounds, self.row, operands.rows))
        self._clear(operands.y, "float32")  # the bits of +0.0 are those of the integer 0
        with tir.serial(0, tirx.truncdiv(count + (most - 1), tirx.const(most, "int32"))) as part:
            self._clear(self._sums, "int16")
            self._add_rows(self._sums, hold(part * most), hold(tirx.min((part + 1) * most, count)))
            self.for_vectors(self._move_sums)
        self.for_vectors(self._scale_sums)

    def _move_sums(self, place: Expression, lanes: int) -> None:
        integers = reinterpret("int32", self.y(place, lanes), lanes)
        integers = integers + cast(load(self._sums, self.at(place), lanes), "int32", lanes)
        self.put(place, lanes, reinterpret("float32", integers, lanes))

    def _scale_sums(self, place: Expression, lanes: int) -> None:
        integers = cast(reinterpret("int32", self.y(place, lanes), lanes), "float32", lanes)
        self.put(place, lanes, self.scale(0, place, lanes) * integers)
