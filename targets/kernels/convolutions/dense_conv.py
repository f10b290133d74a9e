"""A convolution that reads every input element, in the reduction order of the event-driven one.

Vectors run along the output pixels. The image is copied into planes with its padding, one for each phase of the
strides, so that the inputs of neighbouring outputs are neighbours in memory; then every tap is one offset, the rows of
an output image are one run (with a few columns between them that nobody reads), and no inner loop has a branch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.convolutions.convolution import Block, Convolution, emit_blocks, weights_by_tap
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
    loop,
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


@dataclass(frozen=True)
class ConvTile:
    """The sums kept in registers: those of `channels` outputs at `vectors` times 16 pixels."""

    channels: int
    vectors: int


def conv_tile(conv: Convolution, target: Target) -> ConvTile:
    """The tile for a target: it leaves registers for the inputs, a weight and a product."""
    room = max(2, register_floats(target) // LANES - 2)  # the least tile, where its sums fill all registers
    channels = min(conv.group_outputs, 4 if room >= 14 else room)
    return ConvTile(channels, max(1, min((room - 1) // (channels + 1), Planes(conv).vectors)))


def pack_dense_conv(
    stored: StoredMatrix, conv: Convolution, tile: ConvTile
) -> tuple[NDArray[np.generic], NDArray[np.float32] | None]:
    """The flat array `weights` that `dense_conv` reads, of W[taps, outputs] with taps in the graph's order; its scales.

    For each group, for every `tile.channels` outputs of it: kernel rows, kernel columns, channels, outputs.
    """
    ordered = weights_by_tap(stored.values, conv).reshape(conv.groups, conv.taps, conv.group_outputs)
    starts = range(0, conv.group_outputs, tile.channels)
    data = np.concatenate([group[:, start : start + tile.channels].ravel() for group in ordered for start in starts])
    return data, None if stored.scales is None else stored.scales[0]


def planes_size(conv: Convolution) -> int:
    """Elements of the array `planes`; a run reads less than a vector beyond its end."""
    return conv.batch * conv.channels * Planes(conv).channel_size + LANES


def runs_size(conv: Convolution) -> int:
    """Elements of the array `runs`."""
    return conv.batch * conv.outputs * Planes(conv).vectors * LANES


def copy_to_planes(conv: Convolution) -> tirx.PrimFunc:
    """Kernel (x, planes): the images of `conv`, (batch·channels·pixels,), in planes, (planes_size(conv),); float32."""
    with kernel("copy_to_planes") as built:
        x = built.argument("x", (conv.batch * conv.channels * conv.pixels,), "float32")
        planes = built.argument("planes", (planes_size(conv),), "float32")
        with independent(conv.batch * conv.channels) as channel:
            _copy_channel(conv, x, channel * conv.pixels, planes, channel * Planes(conv).channel_size)
    return built.function


def dense_conv(conv: Convolution, tile: ConvTile, *, fused: bool = False) -> tirx.PrimFunc:
    """Kernel (planes, weights, runs): the sums of `conv` at every output, from whole images.

    - `planes`: (planes_size(conv),) float32 from `copy_to_planes`;
    - `weights`: (outputs·taps,) from `pack_dense_conv(stored, conv, tile)`, widened to float32;
    - `runs`: (runs_size(conv),) float32, for `copy_from_runs`.

    `fused` is as in `add_product`.
    """
    with kernel("dense_conv") as built:
        planes = built.argument("planes", (planes_size(conv),), "float32")
        weights = built.argument("weights", (conv.outputs * conv.taps,), "float32")
        runs = built.argument("runs", (runs_size(conv),), "float32")
        product = _Product(conv, tile, planes, weights, runs, fused)
        with independent(conv.batch) as image, independent(conv.groups) as group:
            for first, channels in tiles(conv.group_outputs, tile.channels):
                for vector, vectors in tiles(Planes(conv).vectors, tile.vectors):
                    product.emit_tile(image, group, first, channels, vector * LANES, vectors)
    return built.function


def copy_from_runs(conv: Convolution, *, scaled: bool = False) -> tirx.PrimFunc:
    """Kernel (runs, [scales], y): the sums without the columns between their rows, times scales[output] if `scaled`.

    - `runs`: (runs_size(conv),), `scales`: (outputs,) and `y`: (batch·outputs·out_pixels,) float32.
    """
    layout = Planes(conv)
    whole = layout.width == conv.out_width
    rows, width = (1, conv.out_pixels) if whole else (conv.out_height, conv.out_width)
    with kernel("copy_from_runs") as built:
        runs = built.argument("runs", (runs_size(conv),), "float32")
        scales = built.argument("scales", (conv.outputs,), "float32") if scaled else None
        y = built.argument("y", (conv.batch * conv.outputs * conv.out_pixels,), "float32")
        with independent(conv.batch) as image, independent(conv.outputs) as output:
            scale = None if scales is None else hold(scales[output])
            with loop(rows) as row:
                run = image * conv.outputs + output
                source = run * layout.vectors * LANES + row * layout.width
                _copy(runs, source, 1, y, run * conv.out_pixels + row * width, width, scale)
    return built.function


class Planes:
    """The layout of the padded copy: for each channel, phase of the rows and phase of the columns, one plane."""

    def __init__(self, conv: Convolution) -> None:
        (rows, columns), strides, dilation = conv.kernel, conv.strides, conv.dilation
        self.row_phases = max(tap * dilation[0] % strides[0] for tap in range(rows)) + 1
        self.column_phases = max(tap * dilation[1] % strides[1] for tap in range(columns)) + 1
        self.height = conv.out_height + (rows - 1) * dilation[0] // strides[0]
        self.width = conv.out_width + (columns - 1) * dilation[1] // strides[1]
        self.size = self.height * self.width
        self.channel_size = self.row_phases * self.column_phases * self.size
        self.run = (conv.out_height - 1) * self.width + conv.out_width
        self.vectors = ceil(self.run / LANES)

    def offset(self, conv: Convolution, channel: Expression, row: Expression, column: Expression) -> Expression:
        """Where the run of a tap begins: the element that the first output reads."""
        down, right = row * conv.dilation[0], column * conv.dilation[1]
        phase = tirx.floormod(down, conv.strides[0]) * self.column_phases + tirx.floormod(right, conv.strides[1])
        place = tirx.floordiv(down, conv.strides[0]) * self.width + tirx.floordiv(right, conv.strides[1])
        return channel * self.channel_size + phase * self.size + place


def _copy_channel(conv: Convolution, x: Buffer, source: Expression, planes: Buffer, target: Expression) -> None:
    """Emit the copy of one channel of an image into its planes, zeros around it."""
    layout = Planes(conv)
    top, left = conv.padding[:2]
    for phase in range(layout.row_phases * layout.column_phases):
        down, right = divmod(phase, layout.column_phases)
        plane = target + phase * layout.size
        rows = _inside(layout.height, conv.strides[0], down - top, conv.height)
        columns = _inside(layout.width, conv.strides[1], right - left, conv.width)
        _fill_zero(planes, plane, rows[0] * layout.width)
        if rows[0] < rows[1]:
            with loop(rows[1] - rows[0]) as index:
                line = plane + (rows[0] + index) * layout.width
                image_row = (rows[0] + index) * conv.strides[0] + down - top
                first = source + image_row * conv.width + columns[0] * conv.strides[1] + right - left
                _fill_zero(planes, line, columns[0])
                _copy(x, first, conv.strides[1], planes, line + columns[0], columns[1] - columns[0], None)
                _fill_zero(planes, line + columns[1], layout.width - columns[1])
        _fill_zero(planes, plane + rows[1] * layout.width, (layout.height - rows[1]) * layout.width)


def _inside(count: int, stride: int, shift: int, size: int) -> tuple[int, int]:
    """Which of `count` places lie in the image: begin ≤ place < end where 0 ≤ place·stride + shift < size."""
    begin = min(max(0, -(shift // stride)), count)
    return begin, max(begin, min(count, (size - 1 - shift) // stride + 1))


def _fill_zero(target: Buffer, start: Expression, count: int) -> None:
    for first, lanes in _vectors(count):
        store(target, start + first, lanes, zero("float32", lanes))


def _copy(
    source: Buffer,
    start: Expression,
    step: int,
    target: Buffer,
    place: Expression,
    count: int,
    scale: Expression | None,
) -> None:
    """Emit target[place + i] = source[start + i·step] (· scale) for `count` elements."""
    for first, lanes in _vectors(count):
        value = load(source, start + first * step, lanes, step)
        store(target, place + first, lanes, value if scale is None else splat(scale, lanes) * value)


def _vectors(count: int) -> Iterator[tuple[Expression, int]]:
    """Emit a loop over the whole vectors of `count` elements, then the narrower ones."""
    for first, width in tiles(count, LANES):
        for offset, lanes in chunks(width, LANES):
            yield first + offset, lanes


@dataclass(frozen=True)
class _Product:
    """The sums, tile by tile."""

    conv: Convolution
    tile: ConvTile
    planes: Buffer
    weights: Buffer
    runs: Buffer
    fused: bool

    def emit_tile(
        self,
        image: Expression,
        group: Expression,
        first: Expression,
        channels: int,
        pixel: Expression,
        vectors: int,
    ) -> None:
        """Emit the sums of `channels` outputs of a group from `first`, at `vectors` · 16 pixels from `pixel`."""
        conv, layout = self.conv, Planes(self.conv)
        totals = [[tir.alloc_buffer((LANES,), "float32") for _ in range(vectors)] for _ in range(channels)]
        origin = (group * conv.group_outputs + first) * conv.taps
        plane = (image * conv.channels + group * conv.group_inputs) * layout.channel_size + pixel

        def target(channel: int, vector: int) -> Expression:
            output = image * conv.outputs + group * conv.group_outputs + first + channel
            return (output * layout.vectors + vector) * LANES + pixel

        places = [(channel, vector) for channel in range(channels) for vector in range(vectors)]
        single = conv.block_count == 1
        if not single:
            for channel, vector in places:
                store(self.runs, target(channel, vector), LANES, zero("float32", LANES))
        for block in emit_blocks(conv, (tirx.const(0, "int32"), tirx.const(conv.kernel[0], "int32"))):
            for channel, vector in places:
                store(totals[channel][vector], 0, LANES, zero("float32", LANES))
            self._add_block(block, plane, origin, totals)
            for channel, vector in places:
                place, value = target(channel, vector), load(totals[channel][vector], 0, LANES)
                store(self.runs, place, LANES, value if single else load(self.runs, place, LANES) + value)

    def _add_block(self, block: Block, plane: Expression, origin: Expression, totals: list[list[Buffer]]) -> None:
        """Emit the products of one block, added to `totals`; a tile's inputs begin at `plane`, weights at `origin`."""
        conv, layout = self.conv, Planes(self.conv)
        values = [tir.alloc_buffer((LANES,), "float32") for _ in totals[0]]
        with span(*block.rows) as row, span(*block.columns) as column, span(*block.channels) as channel:
            source = plane + layout.offset(conv, channel, row, column)
            tap = origin + ((row * conv.kernel[1] + column) * conv.group_inputs + channel) * len(totals)
            for index, value in enumerate(values):
                store(value, 0, LANES, load(self.planes, source + index * LANES, LANES))
            for output, sums in enumerate(totals):
                weight = splat(self.weights[tap + output], LANES)
                for value, total in zip(values, sums, strict=True):
                    added = add_product(load(total, 0, LANES), weight, load(value, 0, LANES), self.fused)
                    store(total, 0, LANES, added)
