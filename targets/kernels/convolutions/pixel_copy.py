"""Images with the channels last and their padding around them: what a convolution in vectors of channels reads."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.convolutions.convolution import Convolution
from astroedge.targets.kernels.convolutions.tile_transpose import TILE, exchange, held
from astroedge.targets.tir_builder import (
    Buffer,
    Expression,
    chunks,
    independent,
    kernel,
    load,
    loop,
    store,
    zero,
)

LANES = 16


@dataclass(frozen=True)
class PixelCopy:
    """The layout of the copy: for each image, row and column the channels.

    There is no padding where every block of a sum is part of one tap: then windows whose tap lies outside are left out.
    """

    conv: Convolution

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """Zeros around the image: top, left, bottom, right."""
        cut = self.conv.blocking
        return (0, 0, 0, 0) if (cut.rows, cut.columns) == (1, 1) else self.conv.padding

    @property
    def height(self) -> int:
        """Rows, padding included."""
        return self.conv.height + self.padding[0] + self.padding[2]

    @property
    def width(self) -> int:
        """Columns, padding included."""
        return self.conv.width + self.padding[1] + self.padding[3]

    @property
    def image_size(self) -> int:
        """Elements of one image."""
        return self.height * self.width * self.conv.channels

    @property
    def size(self) -> int:
        """Elements of all images."""
        return self.conv.batch * self.image_size

    def place(self, row: Expression, column: Expression) -> Expression:
        """Where the channels of a pixel begin; row and column count from the corner of the convolution's padding."""
        top, left = (own - whole for own, whole in zip(self.padding[:2], self.conv.padding[:2], strict=True))
        return ((row + top) * self.width + column + left) * self.conv.channels


def copy_to_pixels(layout: PixelCopy) -> tirx.PrimFunc:
    """Kernel (x, pixels): the images of a convolution, (batch·channels·pixels,), as (layout.size,); float32."""
    conv = layout.conv
    top, left, bottom, right = (side * conv.channels for side in layout.padding)
    rows, width = (conv.height, conv.width) if any(layout.padding) else (1, conv.pixels)
    with kernel("copy_to_pixels") as built:
        x = built.argument("x", (conv.batch * conv.channels * conv.pixels,), "float32")
        pixels = built.argument("pixels", (layout.size,), "float32")
        with independent(conv.batch) as image:
            target = image * layout.image_size
            _fill_zero(pixels, target, top * layout.width)
            with loop(rows) as row:
                line = target + (row + layout.padding[0]) * layout.width * conv.channels
                _fill_zero(pixels, line, left)
                _copy_line(conv, x, image * conv.channels * conv.pixels + row * width, pixels, line + left, width)
                _fill_zero(pixels, line + left + width * conv.channels, right)
            below = target + layout.image_size - bottom * layout.width
            _fill_zero(pixels, below, bottom * layout.width)
    return built.function


def _fill_zero(target: Buffer, start: Expression, count: int) -> None:
    whole = count // LANES
    with tir.serial(0, whole) as index:
        store(target, start + index * LANES, LANES, zero("float32", LANES))
    for offset, lanes in chunks(count - whole * LANES):
        store(target, start + whole * LANES + offset, lanes, zero("float32", lanes))


def _copy_line(
    conv: Convolution, x: Buffer, source: Expression, pixels: Buffer, target: Expression, width: int
) -> None:
    """Emit the copy of `width` neighbouring pixels: square tiles, of which the last overlap; or one by one."""
    if min(width, conv.channels) < TILE:
        with loop(conv.channels) as channel, loop(width) as pixel:
            element = x[source + channel * conv.pixels + pixel]
            tir.buffer_store(pixels, element, [target + pixel * conv.channels + channel])
        return
    with loop(ceil(conv.channels / TILE)) as high, loop(ceil(width / TILE)) as wide:
        channel, pixel = tirx.min(high * TILE, conv.channels - TILE), tirx.min(wide * TILE, width - TILE)
        first = source + channel * conv.pixels + pixel
        columns = exchange([held(load(x, first + row * conv.pixels, TILE)) for row in range(TILE)])
        for index, column in enumerate(columns):
            place = target + (pixel + index) * conv.channels + channel
            store(pixels, place, TILE, load(column, 0, TILE))
