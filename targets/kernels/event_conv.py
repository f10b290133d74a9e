"""A convolution that reads only the weights of the input elements that are active.

For each output pixel (or a few neighbours at a time) the active elements of its window are walked in the order of the
reduction, and the weights of each, one for every output channel, are added into registers. Nothing is scattered: sums
live in registers, and a kernel row of the window is one stretch of the active list.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.authoring import (
    Buffer,
    Expression,
    chunks,
    hold,
    independent,
    kernel,
    load,
    loop,
    span,
    splat,
    store,
    tiles,
    zero,
)
from astroedge.targets.kernels.convolution import Block, Convolution, Span, emit_blocks
from astroedge.targets.kernels.stored_weights import cast, data_type, is_integer
from astroedge.targets.kernels.tile_transpose import sums_pitch, sums_size
from astroedge.targets.weight_format import Precision, StoredMatrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

LANES = 16


def pack_event_conv(
    stored: StoredMatrix, conv: Convolution, together: int
) -> tuple[NDArray[np.generic], NDArray[np.float32] | None]:
    """The flat array `weights` that `event_conv` reads, of W[taps, outputs] with taps in the graph's order; its scales.

    For each group, kernel row, kernel column and input channel, the weights of the group's outputs. Where windows are
    walked together there are columns of zeros on both sides, for the elements that lie in one window and not in
    another.
    """
    rows, columns = conv.kernel
    shape = (conv.group_inputs, rows, columns, conv.groups, conv.group_outputs)
    ordered = stored.values.reshape(shape).transpose(3, 1, 2, 0, 4)
    beside = _columns_beside(conv, together)
    behind = _pitch(conv) - conv.group_outputs
    padded = np.pad(ordered, ((0, 0), (0, 0), (beside, beside), (0, 0), (0, behind)))
    return padded.ravel(), None if stored.scales is None else stored.scales[0]


def most_together(conv: Convolution, floats: int) -> int:
    """How many neighbouring windows can be walked in one go with `floats` sums in registers, at most 8.

    One where a kernel row is more than one stretch of the list, or than one block of the reduction.
    """
    return max(1, min(8, conv.out_width, floats // _pitch(conv))) if conv.has_runs else 1


def weights_size(conv: Convolution, together: int) -> int:
    """Elements of the array that `pack_event_conv` makes."""
    columns = conv.kernel[1] + 2 * _columns_beside(conv, together)
    return conv.groups * conv.kernel[0] * columns * conv.group_inputs * _pitch(conv)


def event_conv(
    conv: Convolution, *, graded: bool = False, together: int = 1, tile: int = 128, storage: Precision = "float32"
) -> tirx.PrimFunc:
    """Kernel ([values], indices, starts, weights, sums): `conv` of images given by their active elements.

    - `values`, `indices`, `starts`: as `active_pixels` writes them for `conv.lists`; `values` only if `graded`,
      else the elements are 1;
    - `weights`: from `pack_event_conv(W, conv, together)`, floats or int8, whose scales are left to `transpose_sums`;
    - `sums`: (batch·sums_size(out_pixels, outputs),) float32, channels last, as `transpose_sums` reads them.

    The windows of `together` neighbouring outputs are walked in one go, `tile` output channels at a time; neither
    changes a bit. int8 weights of inputs that are 0 or 1 are added in int16, which holds the sum of a block.
    """
    size = conv.channels * conv.pixels
    with kernel("event_conv") as built:
        values = built.argument("values", (conv.batch * size,), "float32") if graded else None
        indices = built.argument("indices", (conv.lists.indices_size,), "int32")
        starts = built.argument("starts", (conv.batch * conv.lists.image_starts,), "int32")
        weights = built.argument("weights", (weights_size(conv, together),), data_type(storage))
        sums = built.argument("sums", (conv.batch * sums_size(conv.out_pixels, conv.outputs),), "float32")
        dtype = "int16" if is_integer(storage) and not graded else "float32"
        walk = _Walk(conv, values, indices, starts, weights, sums, together, tile, dtype)
        with independent(conv.batch) as image, independent(conv.out_height) as row:
            if graded and together > 1:
                # Times the zeros beside a window, an infinite element would be NaN: then each window goes alone.
                with tir.If(starts[walk.start(image, conv.pixels) + 1] == 0):
                    with tir.Then():
                        walk.emit(image, row, together)
                    with tir.Else():
                        walk.emit(image, row, 1)
            else:
                walk.emit(image, row, together)
    return built.function


def _pitch(conv: Convolution) -> int:
    """Weights from one tap's to the next one's: the outputs of a group, padded to whole tiles if it is the only one."""
    return sums_pitch(conv.outputs) if conv.groups == 1 else conv.group_outputs


def _columns_beside(conv: Convolution, together: int) -> int:
    return (together - 1) * conv.strides[1]


@dataclass(frozen=True)
class _Walk:
    """The walk over all windows; `together` is what the weights are packed for."""

    conv: Convolution
    values: Buffer | None
    indices: Buffer
    starts: Buffer
    weights: Buffer
    sums: Buffer
    together: int
    tile: int
    dtype: str

    def start(self, image: Expression, pixel: Expression) -> Expression:
        """Where `starts` says how many active elements of an image lie before a pixel."""
        return image * self.conv.lists.image_starts + pixel * self.conv.lists.cells

    def emit(self, image: Expression, row: Expression, together: int) -> None:
        """Emit the sums of a row of outputs, `together` neighbours at a time; the last ones may be computed twice."""
        conv = self.conv
        with loop(conv.groups) as group, loop(ceil(conv.out_width / together)) as index:
            column = tirx.min(index * together, conv.out_width - together)
            for first, width in tiles(_pitch(conv), self.tile):
                _Window(self, image, group, row, column, together, first, width).emit()


@dataclass(frozen=True)
class _Window:
    """`together` neighbouring windows from output (row, column), and `width` outputs of a group from `first`."""

    walk: _Walk
    image: Expression
    group: Expression
    row: Expression
    column: Expression
    together: int
    first: Expression
    width: int

    def emit(self) -> None:
        """Emit their sums, held in registers over a block."""
        conv, dtype = self.walk.conv, self.walk.dtype
        places = [
            (index, offset, lanes, tir.alloc_buffer((lanes,), dtype))
            for index in range(self.together)
            for offset, lanes in chunks(self.width, 2 * LANES if dtype == "int16" else LANES)
        ]
        single = conv.block_count == 1
        if not single:
            for index, offset, lanes, _ in places:
                store(self.walk.sums, self._sum(index, offset), lanes, zero("float32", lanes))
        for block in emit_blocks(conv, self._rows()):
            for _, _, lanes, total in places:
                store(total, 0, lanes, zero(dtype, lanes))
            self._add_block(block, places)
            for index, offset, lanes, total in places:
                value = cast(load(total, 0, lanes), "float32", lanes)
                target = self._sum(index, offset)
                store(self.walk.sums, target, lanes, value if single else load(self.walk.sums, target, lanes) + value)

    def _sum(self, index: int, offset: int) -> Expression:
        conv = self.walk.conv
        image = self.image * sums_size(conv.out_pixels, conv.outputs)
        pixel = self.row * conv.out_width + self.column + index
        return image + pixel * sums_pitch(conv.outputs) + self.group * conv.group_outputs + self.first + offset

    def _rows(self) -> Span:
        """The first kernel row inside the image, and the first one behind it."""
        conv, rows = self.walk.conv, self.walk.conv.kernel[0]
        if not conv.padding[0] and not conv.padding[2]:
            return tirx.const(0, "int32"), tirx.const(rows, "int32")
        first, step = self.row * conv.strides[0] - conv.padding[0], conv.dilation[0]
        begin = tirx.max(tirx.floordiv(step - 1 - first, step), 0)
        end = tirx.min(tirx.floordiv(conv.height - 1 - first, step) + 1, rows)
        return begin, end

    def _add_block(self, block: Block, places: list[tuple[int, int, int, Buffer]]) -> None:
        """Emit the walk over one block's active elements."""
        conv = self.walk.conv
        first_column = self.column * conv.strides[1] - conv.padding[1]
        beside = _columns_beside(conv, self.walk.together)
        with span(*block.rows) as row:
            image_row = self.row * conv.strides[0] - conv.padding[0] + row * conv.dilation[0]
            line = image_row * conv.width
            taps = (self.group * conv.kernel[0] + row) * (conv.kernel[1] + 2 * beside) + beside
            if conv.lists.cells == 1 and conv.dilation[1] == 1:
                begin, end = (first_column + column for column in block.columns)
                end = end + (self.together - 1) * conv.strides[1]
                positions = [line + self._inside(column) for column in (begin, end)]
                origin = (taps - line - first_column) * conv.group_inputs
                self._add_elements(positions[0], positions[1], origin, places)
                return
            with span(*block.columns) as tap:
                column = first_column + tap * conv.dilation[1]
                cell = self.group * (conv.lists.cells // conv.groups) + block.part
                origin = (
                    (taps + tap) * conv.group_inputs - (line + column) * conv.channels - self.group * conv.group_inputs
                )
                with tir.If(tirx.And(column >= 0, column < conv.width)), tir.Then():
                    place = (line + column) * conv.lists.cells + cell
                    self._add_elements(place, place + 1, origin, places)

    def _inside(self, column: Expression) -> Expression:
        conv = self.walk.conv
        if not conv.padding[1] and not conv.padding[3]:
            return column
        return tirx.min(tirx.max(column, 0), conv.width)

    def _add_elements(
        self, begin: Expression, end: Expression, origin: Expression, places: list[tuple[int, int, int, Buffer]]
    ) -> None:
        """Emit the sum over the list between two entries of `starts`; tap k's weights are those of row origin + k."""
        walk, conv = self.walk, self.walk.conv
        base, pitch = self.image * conv.channels * conv.pixels, _pitch(conv)
        step = conv.strides[1] * conv.group_inputs * pitch
        start = walk.start(self.image, 0)
        with span(walk.starts[start + begin], walk.starts[start + end]) as position:
            k = hold(walk.indices[base + position])
            weights = (origin + k) * pitch + self.first
            for index, offset, lanes, total in places:
                addend = cast(load(walk.weights, weights - index * step + offset, lanes), walk.dtype, lanes)
                if walk.values is not None:
                    addend = splat(walk.values[base + position], lanes) * addend
                store(total, 0, lanes, load(total, 0, lanes) + addend)
