"""The inside of the event-driven convolution: windows walked over lists of active elements."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.convolutions.column_strips import ColumnStrips
from astroedge.targets.kernels.convolutions.convolution import Block, Convolution, Span, emit_blocks, windows_inside
from astroedge.targets.kernels.convolutions.tile_transpose import sums_pitch, sums_size
from astroedge.targets.kernels.stored_weights import cast
from astroedge.targets.tir_builder import (
    Buffer,
    Expression,
    add_product,
    chunks,
    hold,
    load,
    loop,
    span,
    splat,
    store,
    tiles,
    zero,
)

LANES = 16


@dataclass(frozen=True)
class Listed:
    """Lists of active elements: their numbers and where stretches start; `values` is None where elements are 1."""

    values: Buffer | None
    elements: Buffer
    starts: Buffer


@dataclass(frozen=True)
class Walk:
    """How windows are walked, and where their sums go.

    `lists` are those of pixels, or of `strips`, whose `together` is also what the weights are packed for; `by_strip`
    says which. Sums are made in `dtype`, `tile` outputs at a time; `fused` is as in `add_product`.
    """

    strips: ColumnStrips
    by_strip: bool
    lists: Listed
    weights: Buffer
    sums: Buffer
    tile: int
    dtype: str
    fused: bool

    @property
    def conv(self) -> Convolution:
        """The convolution."""
        return self.strips.conv

    def emit_row(self, image: Expression, row: Expression, together: int) -> None:
        """Emit the sums of a row of outputs, `together` neighbours at a time; the last ones may be computed twice."""
        conv = self.conv
        with loop(conv.groups) as group, loop(ceil(conv.out_width / together)) as index:
            column = tirx.min(index * together, conv.out_width - together)
            for first, width in tiles(weights_pitch(conv), self.tile):
                _Windows(self, image, group, row, index, column, together, first, width).emit()

    def emit_by_block(self, image: Expression) -> None:
        """Emit the sums of an image, a block of all windows before the next block; a block is part of a kernel row."""
        conv, none = self.conv, tirx.const(0, "int32")
        for first, width in tiles(weights_pitch(conv), self.tile):
            with loop(conv.out_height) as row, loop(conv.out_width) as column:
                _Windows(self, image, none, row, none, column, 1, first, width).clear()
            for block in emit_blocks(conv, (none, none + conv.kernel[0])):
                rows = windows_inside(conv, 0, block.rows, (none, none + conv.out_height))
                columns = windows_inside(conv, 1, block.columns, (none, none + conv.out_width))
                with span(*rows) as row, span(*columns) as column:
                    _Windows(self, image, none, row, none, column, 1, first, width).add(block, single=False)


def weights_pitch(conv: Convolution) -> int:
    """Weights from one tap's to the next one's: the outputs of a group, padded to whole tiles if it is the only one."""
    return sums_pitch(conv.outputs) if conv.groups == 1 else conv.group_outputs


@dataclass(frozen=True)
class _Place:
    """A vector of sums: `lanes` outputs from `offset` of the window `index`, held in `total` over a block."""

    index: int
    offset: int
    lanes: int
    total: Buffer | None = None


@dataclass(frozen=True)
class _Windows:
    """`together` neighbouring windows from output (row, column), and `width` outputs of a group from `first`."""

    walk: Walk
    image: Expression
    group: Expression
    row: Expression
    strip: Expression
    column: Expression
    together: int
    first: Expression
    width: int

    def emit(self) -> None:
        """Emit their sums, held in registers over a block."""
        single = self.walk.conv.block_count == 1
        if not single:
            self.clear()
        for block in emit_blocks(self.walk.conv, self._rows()):
            self.add(block, single)

    def clear(self) -> None:
        """Emit sums of nothing."""
        for place in self._places:
            store(self.walk.sums, self._sum(place), place.lanes, zero("float32", place.lanes))

    def add(self, block: Block, single: bool) -> None:
        """Emit the sums of a block, added to what there is unless it is the only one."""
        dtype, sums = self.walk.dtype, self.walk.sums
        totals = [tir.alloc_buffer((place.lanes,), dtype) for place in self._places]
        places = [replace(place, total=total) for place, total in zip(self._places, totals, strict=True)]
        for place in places:
            store(place.total, 0, place.lanes, zero(dtype, place.lanes))
        if self.walk.by_strip:
            self._add_strip(block, places)
        else:
            self._add_pixels(block, places)
        for place in places:
            value = cast(load(place.total, 0, place.lanes), "float32", place.lanes)
            target = self._sum(place)
            store(sums, target, place.lanes, value if single else load(sums, target, place.lanes) + value)

    @property
    def _places(self) -> list[_Place]:
        """The vectors of the sums."""
        lanes_most = 2 * LANES if self.walk.dtype == "int16" else LANES
        pieces = chunks(self.width, lanes_most)
        return [_Place(index, offset, lanes) for index in range(self.together) for offset, lanes in pieces]

    def _sum(self, place: _Place) -> Expression:
        conv = self.walk.conv
        image = self.image * sums_size(conv.out_pixels, conv.outputs)
        pixel = self.row * conv.out_width + self.column + place.index
        return image + pixel * sums_pitch(conv.outputs) + self.group * conv.group_outputs + self.first + place.offset

    def _rows(self) -> Span:
        """The first kernel row inside the image, and the first one behind it."""
        conv, rows = self.walk.conv, self.walk.conv.kernel[0]
        if not conv.padding[0] and not conv.padding[2]:
            return tirx.const(0, "int32"), tirx.const(rows, "int32")
        first, step = self._image_row(), conv.dilation[0]
        begin = tirx.max(tirx.floordiv(step - 1 - first, step), 0)
        end = tirx.min(tirx.floordiv(conv.height - 1 - first, step) + 1, rows)
        return begin, end

    def _image_row(self) -> Expression:
        """The row of the image that the first kernel row reads, perhaps in the padding."""
        return self.row * self.walk.conv.strides[0] - self.walk.conv.padding[0]

    def _add_strip(self, block: Block, places: list[_Place]) -> None:
        """Emit the walk over the rows of a block: one stretch of the strip's list."""
        walk, strips = self.walk, self.walk.strips
        number = self.image * strips.count + self.strip
        start = number * (walk.conv.height + 1) + self._image_row()
        begin, end = (walk.lists.starts[start + row] for row in block.rows)
        base = number * strips.length
        self._add_elements(base + begin, base + end, self._image_row() * -strips.row, places)

    def _add_pixels(self, block: Block, places: list[_Place]) -> None:
        """Emit the walk over a block by stretches of pixels that are neighbours in a row, or by single cells."""
        conv, strips = self.walk.conv, self.walk.strips
        first_column = self.column * conv.strides[1] - conv.padding[1]
        depth = conv.group_inputs
        with span(*block.rows) as row:
            line = (self._image_row() + row * conv.dilation[0]) * conv.width
            taps = (self.group * conv.kernel[0] + row) * (conv.kernel[1] + 2 * strips.beside) + strips.beside
            if conv.lists.cells == 1 and conv.dilation[1] == 1:
                begin, end = (first_column + column for column in block.columns)
                edges = begin, end + (self.together - 1) * conv.strides[1]
                cells = [line + self._inside(column) for column in edges]
                self._add_cells(cells[0], cells[1], (taps - line - first_column) * depth, places)
                return
            with span(*block.columns) as tap:
                column = first_column + tap * conv.dilation[1]
                cell = (line + column) * conv.lists.cells + self.group * (conv.lists.cells // conv.groups) + block.part
                with tir.If(tirx.And(column >= 0, column < conv.width)), tir.Then():
                    origin = (taps + tap - self.group) * depth - (line + column) * conv.channels
                    self._add_cells(cell, cell + 1, origin, places)

    def _inside(self, column: Expression) -> Expression:
        conv = self.walk.conv
        if not conv.padding[1] and not conv.padding[3]:
            return column
        return tirx.min(tirx.max(column, 0), conv.width)

    def _add_cells(self, begin: Expression, end: Expression, origin: Expression, places: list[_Place]) -> None:
        """Emit the sum over the cells begin ≤ cell < end of the image's pixels."""
        conv, starts = self.walk.conv, self.walk.lists.starts
        start, base = self.image * conv.lists.image_starts, self.image * conv.channels * conv.pixels
        self._add_elements(base + starts[start + begin], base + starts[start + end], origin, places)

    def _add_elements(self, begin: Expression, end: Expression, origin: Expression, places: list[_Place]) -> None:
        """Emit the sum over a stretch of a list; element k's weights are those of row origin + k."""
        walk, conv = self.walk, self.walk.conv
        pitch = weights_pitch(conv)
        step = conv.strides[1] * conv.group_inputs * pitch
        with span(begin, end) as position:
            k = hold(walk.lists.elements[position])
            weights = (origin + k) * pitch + self.first
            for place in places:
                addend = load(walk.weights, weights - place.index * step + place.offset, place.lanes)
                addend, total = cast(addend, walk.dtype, place.lanes), load(place.total, 0, place.lanes)
                if walk.lists.values is None:
                    total = total + addend
                else:
                    total = add_product(total, addend, splat(walk.lists.values[position], place.lanes), walk.fused)
                store(place.total, 0, place.lanes, total)
