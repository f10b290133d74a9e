"""What a convolution computes, and the one order in which every kernel adds it up.

A sum runs over the taps of its window: kernel rows ascending, in a row kernel columns ascending, at a column the
channels of its group ascending; that is the order of the pixels' memory if channels came last. Sums are made in blocks
that start from +0.0 and are added up ascending; the scale of integer weights and the bias come last. A block is as many
whole kernel rows as have at most 256 products; where one row has more, as many whole columns of it; where one column
has more, 256 channels of it. A tap that lies in the padding contributes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from astroedge.targets.kernels.convolutions.pixel_lists import PixelLists
from astroedge.targets.precision.storage import BLOCK
from astroedge.targets.tir_builder import Expression, loop, span

STRETCHES_SAVED = 3
"""From how many on a copy of the lists by strips pays (measured: two are a loss where rows hold many elements)."""


@dataclass(frozen=True)
class Convolution:
    """A convolution of `batch` images (channels × height × width); one of one axis has height 1.

    `kernel`, `strides` and `dilation` are (vertical, horizontal), `padding` is (top, left, bottom, right), zeros.
    """

    batch: int
    channels: int
    height: int
    width: int
    outputs: int
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def pixels(self) -> int:
        """Pixels of an input image."""
        return self.height * self.width

    @property
    def out_height(self) -> int:
        """Rows of an output image."""
        padded = self.height + self.padding[0] + self.padding[2]
        return (padded - self.dilation[0] * (self.kernel[0] - 1) - 1) // self.strides[0] + 1

    @property
    def out_width(self) -> int:
        """Columns of an output image."""
        padded = self.width + self.padding[1] + self.padding[3]
        return (padded - self.dilation[1] * (self.kernel[1] - 1) - 1) // self.strides[1] + 1

    @property
    def out_pixels(self) -> int:
        """Pixels of an output image."""
        return self.out_height * self.out_width

    @property
    def group_inputs(self) -> int:
        """Input channels of a group."""
        return self.channels // self.groups

    @property
    def group_outputs(self) -> int:
        """Output channels of a group."""
        return self.outputs // self.groups

    @property
    def taps(self) -> int:
        """Products in one sum, borders aside."""
        return self.kernel[0] * self.kernel[1] * self.group_inputs

    @property
    def lists(self) -> PixelLists:
        """The lists of active elements that the event-driven kernel reads: a cell never ends inside a block."""
        return PixelLists(self.batch, self.channels, self.pixels, min(self.group_inputs, BLOCK))

    @property
    def is_listable(self) -> bool:
        """Whether the blocks of every group are cells of the lists."""
        return self.groups == 1 or self.group_inputs <= BLOCK or self.group_inputs % BLOCK == 0

    @property
    def has_runs(self) -> bool:
        """Whether a kernel row of a window is one stretch of the lists, and no block ends inside it."""
        return self.lists.cells == 1 and self.dilation[1] == 1 and self.blocking.columns == self.kernel[1]

    @property
    def has_strips(self) -> bool:
        """Whether the kernel rows of a block are one stretch of a strip's list, and that pays for listing strips."""
        saved = self.kernel[0] - self.block_count  # stretches of a window
        return self.has_runs and self.dilation[0] == 1 and saved >= STRETCHES_SAVED

    @property
    def has_row_blocks(self) -> bool:
        """Whether every block lies in one kernel row and is walked cell by cell, not as a stretch with others."""
        return self.groups == 1 and self.blocking.rows == 1 and not self.has_runs

    @property
    def is_matrix_product(self) -> bool:
        """Whether there is one window, the whole image without padding: then inputs meet weights as in a product."""
        whole = self.kernel == (self.height, self.width) and self.groups == 1
        return whole and not any(self.padding)

    @property
    def blocking(self) -> Blocking:
        """How the sums are cut into blocks."""
        rows, columns = self.kernel
        line = columns * self.group_inputs
        if line <= BLOCK:
            return Blocking(min(rows, BLOCK // line), columns, self.group_inputs)
        if self.group_inputs <= BLOCK:
            return Blocking(1, BLOCK // self.group_inputs, self.group_inputs)
        return Blocking(1, 1, BLOCK)

    @property
    def block_count(self) -> int:
        """Blocks of a sum."""
        rows, columns = self.kernel
        cut = self.blocking
        return ceil(rows / cut.rows) * ceil(columns / cut.columns) * ceil(self.group_inputs / cut.channels)

    def fan_out(self) -> NDArray[np.int32]:
        """How many windows each pixel lies in, [height, width]."""
        rows = _readers(
            self.height, self.out_height, self.kernel[0], self.strides[0], self.dilation[0], self.padding[0]
        )
        columns = _readers(
            self.width, self.out_width, self.kernel[1], self.strides[1], self.dilation[1], self.padding[1]
        )
        return np.outer(rows, columns).astype(np.int32)


@dataclass(frozen=True)
class Blocking:
    """A block covers at most `rows` kernel rows, `columns` of their columns and `channels` of a group's channels.

    Only one of them is less than the whole: whole rows, or columns of one row, or channels of one column.
    """

    rows: int
    columns: int
    channels: int


Span = tuple[Expression, Expression]


@dataclass(frozen=True)
class Block:
    """The taps of a block: begin ≤ place < end along each axis; `part` counts the parts of a column's channels."""

    rows: Span
    columns: Span
    channels: Span
    part: Expression


def weights_by_tap(values: NDArray[np.generic], conv: Convolution) -> NDArray[np.generic]:
    """W[taps, outputs], taps in the graph's order, as W[group, kernel row, kernel column, channel, output of it]."""
    shape = (conv.group_inputs, *conv.kernel, conv.groups, conv.group_outputs)
    return values.reshape(shape).transpose(3, 1, 2, 0, 4)


def emit_blocks(conv: Convolution, rows: Span) -> Iterator[Block]:
    """Emit loops over the blocks of a sum, ascending, cut to the given kernel rows.

    The rows left out must lie in the padding: the sum of a block of zeros would change nothing.
    """
    cut, width, depth = conv.blocking, conv.kernel[1], conv.group_inputs
    zero = tirx.const(0, "int32")
    if (cut.columns, cut.channels) == (width, depth):
        with loop(ceil(conv.kernel[0] / cut.rows)) as index:
            edges = (index * cut.rows, (index + 1) * cut.rows)
            inside = tuple(tirx.min(tirx.max(edge, rows[0]), rows[1]) for edge in edges)
            yield Block((inside[0], inside[1]), (zero, zero + width), (zero, zero + depth), zero)
        return
    with span(*rows) as row, loop(ceil(width / cut.columns)) as index:
        first = index * cut.columns
        columns = first, tirx.min(first + cut.columns, width)
        with loop(ceil(depth / cut.channels)) as part:
            channels = part * cut.channels, tirx.min((part + 1) * cut.channels, depth)
            yield Block((row, row + 1), columns, channels, part)


def windows_inside(conv: Convolution, axis: int, taps: Span, windows: Span) -> Span:
    """Which of the windows have one of `taps` (begin ≤ tap < end) in the image, along one axis."""
    stride, step = conv.strides[axis], conv.dilation[axis]
    size, padding = (conv.height, conv.width)[axis], conv.padding[axis]
    if not padding and not conv.padding[axis + 2]:
        return windows
    first = tirx.floordiv(padding - (taps[1] - 1) * step + stride - 1, stride)
    last = tirx.floordiv(size - 1 + padding - taps[0] * step, stride)
    begin = tirx.min(tirx.max(first, windows[0]), windows[1])
    return begin, tirx.max(tirx.min(last + 1, windows[1]), begin)


def _readers(size: int, windows: int, taps: int, stride: int, dilation: int, padding: int) -> NDArray[np.int32]:
    """How many (window, tap) pairs read each of `size` places along one axis."""
    places = np.arange(windows)[:, None] * stride + np.arange(taps) * dilation - padding
    inside = places[(places >= 0) & (places < size)]
    return np.bincount(inside, minlength=size).astype(np.int32)
