"""A convolution that reads every input element, in vectors of output channels: the one for many of them.

The images are copied with the channels last. For a few windows at a time the weights of a tap, one for each output, are
multiplied by the windows' inputs there, each of which is one number; so no vector is wider than the image. The weights
of a block are used for all windows before the next block's are read: they come from memory once. Windows whose part of
a block lies in the padding are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.convolutions.convolution import (
    Block,
    Convolution,
    Span,
    emit_blocks,
    weights_by_tap,
    windows_inside,
)
from astroedge.targets.kernels.convolutions.pixel_copy import PixelCopy
from astroedge.targets.kernels.convolutions.tile_transpose import sums_pitch, sums_size
from astroedge.targets.precision.weight_format import StoredMatrix
from astroedge.targets.tir_builder import (
    Buffer,
    Expression,
    add_product,
    chunks,
    hold,
    independent,
    kernel,
    load,
    register_floats,
    span,
    splat,
    store,
    tiles,
    zero,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from astroedge.targets.boards.board_file import Target

LANES = 16
MOST_WINDOWS = 8
"""More at a time would need more pointers than x86-64 has registers for."""
BAND = 256
"""Windows from which on an image is cut into bands of rows: one is still large beside the weights it reads again."""


@dataclass(frozen=True)
class ChannelTile:
    """The sums kept in registers: those of `channels` outputs, whole vectors of 16, at `windows` pixels."""

    channels: int
    windows: int


def channel_tile(conv: Convolution, target: Target) -> ChannelTile:
    """The tile for a target: it leaves registers for the weights, an input and a product."""
    room = register_floats(target) // LANES
    spare = ceil(2 * target.vector_bits / 32 / LANES)
    vectors = min(4 if room >= 32 else 1, ceil(conv.outputs / LANES))
    return ChannelTile(vectors * LANES, max(1, min(MOST_WINDOWS, (room - spare - vectors) // vectors)))


def pack_channel_conv(
    stored: StoredMatrix, conv: Convolution, tile: ChannelTile
) -> tuple[NDArray[np.generic], NDArray[np.float32] | None]:
    """The flat array that `channel_conv` reads, of W[taps, outputs] with taps in the graph's order; its scales.

    For every `tile.channels` outputs: kernel rows, kernel columns, channels, outputs; zeros behind the last output.
    """
    ordered = weights_by_tap(stored.values, conv).reshape(conv.taps, conv.outputs)
    padded = np.pad(ordered, ((0, 0), (0, sums_pitch(conv.outputs) - conv.outputs)))
    pieces = [padded[:, first : first + tile.channels].ravel() for first in range(0, conv.outputs, tile.channels)]
    return np.concatenate(pieces), None if stored.scales is None else stored.scales[0]


def channel_weights_size(conv: Convolution) -> int:
    """Elements of the array that `pack_channel_conv` makes."""
    return sums_pitch(conv.outputs) * conv.taps


def channel_conv(conv: Convolution, tile: ChannelTile, *, fused: bool = False) -> tirx.PrimFunc:
    """Kernel (pixels, weights, sums): the sums of `conv`, which has one group, at every output.

    - `pixels`: (PixelCopy(conv).size,) float32 from `copy_to_pixels`;
    - `weights`: (channel_weights_size(conv),) from `pack_channel_conv(W, conv, tile)`, widened to float32;
    - `sums`: (batch·sums_size(out_pixels, outputs),) float32, channels last, as `transpose_sums` reads them.

    `fused` is as in `add_product`.
    """
    with kernel("channel_conv") as built:
        pixels = built.argument("pixels", (PixelCopy(conv).size,), "float32")
        weights = built.argument("weights", (channel_weights_size(conv),), "float32")
        sums = built.argument("sums", (conv.batch * sums_size(conv.out_pixels, conv.outputs),), "float32")
        product = _Product(conv, tile, pixels, weights, sums, fused)
        with independent(conv.batch) as image:
            for band in _bands(conv):
                for first, width in tiles(sums_pitch(conv.outputs), tile.channels):
                    product.emit_tile(image, band, first, width)
    return built.function


def window_counts(conv: Convolution) -> Iterator[tuple[int, int]]:
    """For every band and block: how many windows it is computed for, and how many taps it has."""
    rows, columns = conv.kernel
    cut = conv.blocking
    for band in range(0, conv.out_height, _band_rows(conv)):
        end = min(band + _band_rows(conv), conv.out_height)
        for row in range(0, rows, cut.rows):
            last_row = min(row + cut.rows, rows)
            high = _length(windows_inside(conv, 0, (row, last_row), (band, end)))
            for column in range(0, columns, cut.columns):
                last_column = min(column + cut.columns, columns)
                wide = _length(windows_inside(conv, 1, (column, last_column), (0, conv.out_width)))
                taps = (last_row - row) * (last_column - column)
                for first in range(0, conv.group_inputs, cut.channels):
                    yield high * wide, taps * min(cut.channels, conv.group_inputs - first)


def chunk_widths(conv: Convolution, tile: ChannelTile) -> list[tuple[int, int]]:
    """The widths that rests of windows are computed in, ascending, each behind the one below it."""
    rests = {windows % tile.windows for windows, _ in window_counts(conv)}
    widths = [1, *range(2, tile.windows, 2), tile.windows]
    pairs = zip([0, *widths], widths, strict=False)
    return [(fewer, width) for fewer, width in pairs if any(fewer < rest <= width for rest in rests)]


def _band_rows(conv: Convolution) -> int:
    """Rows of outputs in a band; the last band may be narrower."""
    return conv.out_height if conv.out_pixels <= BAND else ceil(BAND / 2 / conv.out_width)


def _bands(conv: Convolution) -> Iterator[Span]:
    """Emit loops over the bands of an image; yields the first row of outputs and the one behind the last."""
    for first, count in tiles(conv.out_height, _band_rows(conv)):
        yield first, first + count


def _length(bounds: Span) -> int:
    """How many places lie between bounds that are known."""
    return int(bounds[1]) - int(bounds[0])


@dataclass(frozen=True)
class _Window:
    """A window among those computed together: where its inputs and its sums begin, and its vectors of sums."""

    pixel: Expression
    target: Expression
    totals: list[Buffer]


@dataclass(frozen=True)
class _Product:
    """The sums, tile by tile."""

    conv: Convolution
    tile: ChannelTile
    pixels: Buffer
    weights: Buffer
    sums: Buffer
    fused: bool

    def emit_tile(self, image: Expression, band: Span, first: Expression, width: int) -> None:
        """Emit the sums of `width` outputs from `first` at the windows of a band."""
        conv, pitch, none = self.conv, sums_pitch(self.conv.outputs), tirx.const(0, "int32")
        base = hold(image * sums_size(conv.out_pixels, conv.outputs) + first)
        if not self._is_stored_once:
            with span(band[0] * conv.out_width, band[1] * conv.out_width) as window:
                for offset, lanes in chunks(width):
                    store(self.sums, base + window * pitch + offset, lanes, zero("float32", lanes))
        for block in emit_blocks(conv, (none, none + conv.kernel[0])):
            rows = windows_inside(conv, 0, block.rows, band)
            columns = windows_inside(conv, 1, block.columns, (none, none + conv.out_width))
            begins, wide = [hold(rows[0]), hold(columns[0])], hold(columns[1] - columns[0])
            for number, count, most in self._chunks((rows[1] - rows[0]) * wide):
                windows = []
                for index in range(most):
                    own = hold(number + (index if count is None else tirx.min(index, count - 1)))
                    row, column = begins[0] + tirx.truncdiv(own, wide), begins[1] + tirx.truncmod(own, wide)
                    windows.append(self._window(image, base, row, column, width))
                self._add_block(block, windows, first * conv.taps, width)
                self._store(windows, count, width)

    @property
    def _is_stored_once(self) -> bool:
        """Whether there is one block, which every window has a part of."""
        conv = self.conv
        return conv.block_count == 1 and sum(windows for windows, _ in window_counts(conv)) == conv.out_pixels

    def _chunks(self, windows: Expression) -> Iterator[tuple[Expression, Expression | None, int]]:
        """Emit the windows `tile.windows` at a time, then the rest; yields first, count if it varies, most."""
        most = self.tile.windows
        windows = hold(windows)
        whole = hold(tirx.truncdiv(windows, most))
        with tir.serial(0, whole) as index:
            yield index * most, None, most
        rest = hold(windows - whole * most)
        for fewer, width in chunk_widths(self.conv, self.tile):
            with tir.If(tirx.And(rest > fewer, rest <= width)), tir.Then():
                yield whole * most, rest, width

    def _window(self, image: Expression, base: Expression, row: Expression, column: Expression, width: int) -> _Window:
        conv, layout = self.conv, PixelCopy(self.conv)
        row, column = hold(row), hold(column)
        pixel = image * layout.image_size + layout.place(row * conv.strides[0], column * conv.strides[1])
        target = base + (row * conv.out_width + column) * sums_pitch(conv.outputs)
        totals = [tir.alloc_buffer((lanes,), "float32") for _, lanes in chunks(width)]
        return _Window(hold(pixel), hold(target), totals)

    def _add_block(self, block: Block, windows: list[_Window], origin: Expression, width: int) -> None:
        """Emit the products of one block, added to the totals; the tile's weights begin at `origin`."""
        conv, layout = self.conv, PixelCopy(self.conv)
        depth = conv.group_inputs
        for window in windows:
            for (_, lanes), total in zip(chunks(width), window.totals, strict=True):
                store(total, 0, lanes, zero("float32", lanes))
        joined = conv.dilation[1] == 1 and conv.blocking.channels == depth  # columns lie one behind the other
        with (
            span(*block.rows) as row,
            span(block.columns[0], block.columns[0] + 1 if joined else block.columns[1]) as column,
        ):
            first, last = block.channels
            count = (block.columns[1] - block.columns[0]) * depth if joined else last - first
            shift = (row * conv.dilation[0] * layout.width + column * conv.dilation[1]) * conv.channels + first
            places = [hold(window.pixel + shift) for window in windows]
            tap = hold(origin + ((row * conv.kernel[1] + column) * depth + first) * width)
            with tir.serial(0, count) as index:
                self._add_tap(windows, [place + index for place in places], tap + index * width, width)

    def _add_tap(self, windows: list[_Window], places: list[Expression], tap: Expression, width: int) -> None:
        vectors = chunks(width)
        weights = [tir.alloc_buffer((lanes,), "float32") for _, lanes in vectors]
        for (offset, lanes), weight in zip(vectors, weights, strict=True):
            store(weight, 0, lanes, load(self.weights, tap + offset, lanes))
        for window, place in zip(windows, places, strict=True):
            element = hold(self.pixels[place])
            for (_, lanes), weight, total in zip(vectors, weights, window.totals, strict=True):
                value = splat(element, lanes)
                store(total, 0, lanes, add_product(load(total, 0, lanes), load(weight, 0, lanes), value, self.fused))

    def _store(self, windows: list[_Window], count: Expression | None, width: int) -> None:
        """Emit the stores of the first `count` windows' sums, or of all."""
        for index, window in enumerate(windows):
            if count is None:
                self._store_window(window, width)
            else:
                with tir.If(count > index), tir.Then():
                    self._store_window(window, width)

    def _store_window(self, window: _Window, width: int) -> None:
        for (offset, lanes), total in zip(chunks(width), window.totals, strict=True):
            place, value = window.target + offset, load(total, 0, lanes)
            store(self.sums, place, lanes, value if self._is_stored_once else load(self.sums, place, lanes) + value)
