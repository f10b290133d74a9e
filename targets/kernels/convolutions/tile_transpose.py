"""Sums with the channels last → an output with the channels first, by exchanging the blocks of square tiles."""

from __future__ import annotations

from math import ceil

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.tir_builder import (
    Buffer,
    Expression,
    chunks,
    independent,
    kernel,
    load,
    loop,
    span,
    splat,
    store,
    tiles,
)

TILE = 8
"""Rows and columns of a tile: a vector of AVX2, half a one of AVX-512, two of NEON."""
STRIP = 64
"""Pixels that are transposed for all channels before the next ones: their sums are still in the L1 cache then."""


def sums_pitch(channels: int) -> int:
    """Elements from one pixel's sums to the next one's: the channels in whole tiles."""
    return -(-channels // TILE) * TILE


def sums_size(pixels: int, channels: int) -> int:
    """Elements of an array of sums that `transpose_sums` reads."""
    return max(pixels, TILE) * sums_pitch(channels)


def transpose_sums(pixels: int, channels: int, *, scaled: bool = False, batch: int = 1) -> tirx.PrimFunc:
    """Kernel (sums, [scales], y): y[m, channel, pixel] = sums[m, pixel, channel], times scales[channel] if `scaled`.

    - `sums`: (batch·sums_size(pixels, channels),) float32, with `sums_pitch(channels)` elements a pixel; those behind
      the channels or the pixels are read and not used;
    - `scales`: (channels,) and `y`: (batch·channels·pixels,) float32.

    The last tile of pixels overlaps the one before it.
    """
    pitch, lanes = sums_pitch(channels), min(pixels, TILE)
    with kernel("transpose") as built:
        sums = built.argument("sums", (batch * sums_size(pixels, channels),), "float32")
        scales = built.argument("scales", (channels,), "float32") if scaled else None
        y = built.argument("y", (batch * channels * pixels,), "float32")
        with independent(batch) as image, loop(ceil(pixels / STRIP)) as strip:
            end = tirx.min((strip + 1) * STRIP, pixels)
            for first, count in tiles(channels, TILE):
                with span(strip * (STRIP // TILE), tirx.floordiv(end + TILE - 1, TILE)) as tile:
                    pixel = tirx.max(tirx.min(tile * TILE, pixels - TILE), 0)
                    source = image * sums_size(pixels, channels) + pixel * pitch + first
                    columns = exchange([held(load(sums, source + row * pitch, TILE)) for row in range(TILE)])
                    for index, column in enumerate(columns[:count]):
                        target = (image * channels + first + index) * pixels + pixel
                        for offset, width in chunks(lanes, TILE):
                            value = load(column, offset, width)
                            if scales is not None:
                                value = splat(scales[first + index], width) * value
                            store(y, target + offset, width, value)
    return built.function


def exchange(rows: list[Buffer]) -> list[Buffer]:
    """The columns of a square tile: blocks of 1, 2, 4 … elements off the diagonal change places."""
    size, step = len(rows), 1
    while step < size:
        swapped = list(rows)
        for upper in (row for row in range(size) if not row & step):
            pair = [load(rows[row], 0, size) for row in (upper, upper + step)]
            above = [lane if not lane & step else size + lane - step for lane in range(size)]
            below = [lane + step if not lane & step else size + lane for lane in range(size)]
            swapped[upper] = held(_shuffle(pair, above))
            swapped[upper + step] = held(_shuffle(pair, below))
        rows, step = swapped, 2 * step
    return rows


def _shuffle(vectors: list[Expression], lanes: list[int]) -> Expression:
    """A vector of chosen lanes of two others, counted through both."""
    return tirx.Shuffle(vectors, [tirx.const(lane, "int32") for lane in lanes])


def held(vector: Expression) -> Buffer:
    """The vector in a register, which is a small array to TVM."""
    register = tir.alloc_buffer((TILE,), "float32")
    store(register, 0, TILE, vector)
    return register
