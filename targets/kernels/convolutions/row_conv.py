"""A convolution of few inputs that reads every one of them, in vectors of output pixels of a row, in one pass.

The sum of a window is one block, so it is stored where it belongs as soon as it is made; no array of sums is written
and read again. That is what counts for large images of few channels, whose results are larger than any cache. Images
are copied into planes as for `dense_conv` unless they are planes already, and weights are packed as for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.convolutions.convolution import Convolution
from astroedge.targets.kernels.convolutions.dense_conv import LANES, ConvTile, Planes, planes_size
from astroedge.targets.tir_builder import (
    Buffer,
    Expression,
    add_product,
    hold,
    independent,
    kernel,
    load,
    loop,
    splat,
    store,
    tiles,
    zero,
)


def has_rows(conv: Convolution) -> bool:
    """Whether a sum is one block and a row of outputs at least a vector; the last vector of a row overlaps another."""
    return conv.block_count == 1 and conv.out_width >= LANES


def reads_images(conv: Convolution) -> bool:
    """Whether the planes of images would be the images."""
    return conv.strides == (1, 1) and not any(conv.padding)


def row_conv(conv: Convolution, tile: ConvTile, *, scaled: bool = False, fused: bool = False) -> tirx.PrimFunc:
    """Kernel (planes, weights, [scales], y): `conv`, for which `has_rows`, times scales[output] if `scaled`.

    - `planes`: (planes_size(conv),) float32 from `copy_to_planes`, or the images themselves where `reads_images`;
    - `weights`: (outputs·taps,) from `pack_dense_conv(stored, conv, tile)`, widened to float32;
    - `scales`: (outputs,) and `y`: (batch·outputs·out_pixels,) float32.

    `fused` is as in `add_product`.
    """
    vectors = ceil(conv.out_width / LANES)
    together = ceil(vectors / ceil(vectors / tile.vectors))
    with kernel("row_conv") as built:
        size = conv.batch * conv.channels * conv.pixels if reads_images(conv) else planes_size(conv)
        planes = built.argument("planes", (size,), "float32")
        weights = built.argument("weights", (conv.outputs * conv.taps,), "float32")
        scales = built.argument("scales", (conv.outputs,), "float32") if scaled else None
        y = built.argument("y", (conv.batch * conv.outputs * conv.out_pixels,), "float32")
        rows = _Rows(conv, planes, weights, scales, y, fused)
        with independent(conv.batch) as image, independent(conv.groups) as group, independent(conv.out_height) as row:
            for first, channels in tiles(conv.group_outputs, tile.channels):
                with loop(vectors // together) as part:
                    rows.emit_tile(image, group, row, first, channels, part * together, together)
                if vectors % together:
                    last = tirx.const(vectors - vectors % together, "int32")
                    rows.emit_tile(image, group, row, first, channels, last, vectors % together)
    return built.function


@dataclass(frozen=True)
class _Rows:
    """The sums, tile by tile."""

    conv: Convolution
    planes: Buffer
    weights: Buffer
    scales: Buffer | None
    y: Buffer
    fused: bool

    def emit_tile(
        self,
        image: Expression,
        group: Expression,
        row: Expression,
        first: Expression,
        channels: int,
        vector: Expression,
        vectors: int,
    ) -> None:
        """Emit `vectors` vectors of a row, from number `vector`, of `channels` outputs of a group from `first`."""
        conv, layout = self.conv, Planes(self.conv)
        rows, columns = conv.kernel
        output = hold(group * conv.group_outputs + first)
        pixels = [hold(tirx.min((vector + index) * LANES, conv.out_width - LANES)) for index in range(vectors)]
        plane = hold((image * conv.channels + group * conv.group_inputs) * layout.channel_size + row * layout.width)
        totals = [[tir.alloc_buffer((LANES,), "float32") for _ in pixels] for _ in range(channels)]
        for total in (total for sums in totals for total in sums):
            store(total, 0, LANES, zero("float32", LANES))
        with loop(rows) as down, loop(columns) as right, loop(conv.group_inputs) as channel:
            source = plane + layout.offset(conv, channel, down, right)
            tap = output * conv.taps + ((down * columns + right) * conv.group_inputs + channel) * channels
            self._add_tap(source, pixels, tap, totals)
        for index, sums in enumerate(totals):
            scale = None if self.scales is None else hold(self.scales[output + index])
            target = ((image * conv.outputs + output + index) * conv.out_height + row) * conv.out_width
            for pixel, total in zip(pixels, sums, strict=True):
                value = load(total, 0, LANES)
                store(self.y, target + pixel, LANES, value if scale is None else splat(scale, LANES) * value)

    def _add_tap(
        self, source: Expression, pixels: list[Expression], tap: Expression, totals: list[list[Buffer]]
    ) -> None:
        """Emit the products of one tap, whose inputs begin at `source` and weights at `tap`."""
        values = [tir.alloc_buffer((LANES,), "float32") for _ in pixels]
        for pixel, value in zip(pixels, values, strict=True):
            store(value, 0, LANES, load(self.planes, source + pixel, LANES))
        for index, sums in enumerate(totals):
            weight = splat(self.weights[tap + index], LANES)
            for value, total in zip(values, sums, strict=True):
                added = add_product(load(total, 0, LANES), weight, load(value, 0, LANES), self.fused)
                store(total, 0, LANES, added)
