"""Which elements of an image are active, as bits: a first step to their list, in vectors along the pixels."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.convolutions.pixel_lists import BITS, LANES, PixelLists, cell_bytes, cells
from astroedge.targets.kernels.stored_weights import cast
from astroedge.targets.tir_builder import (
    Buffer,
    Expression,
    chunks,
    independent,
    kernel,
    load,
    splat,
    store,
    zero,
)


def pixel_masks(lists: PixelLists) -> tirx.PrimFunc:
    """Kernel (x, masks): which elements of `x` are not zero; −0.0 is zero, NaN is not.

    `x`: (batch·channels·pixels,) float32; `masks`: (lists.masks_size,) uint8.
    """
    whole, tail = divmod(lists.pixels, LANES)
    with kernel("pixel_masks") as built:
        x = built.argument("x", (lists.size,), "float32")
        masks = built.argument("masks", (lists.masks_size,), "uint8")
        with independent(lists.batch) as image:
            if whole:
                with independent(whole) as tile:
                    _emit_masks(lists, x, masks, image, tile, LANES)
            if tail:
                with independent(1):
                    _emit_masks(lists, x, masks, image, tirx.const(whole, "int32"), tail)
    return built.function


def _emit_masks(lists: PixelLists, x: Buffer, masks: Buffer, image: Expression, tile: Expression, count: int) -> None:
    """Emit the bytes of the first `count` pixels of a tile of 16."""
    tile_bytes = LANES * lists.cells * lists.cell_bytes // lists.together
    target = (image * ceil(lists.pixels / LANES) + tile) * tile_bytes

    def bits(channel: Expression, number: int, pixel: int, lanes: int) -> Expression:
        """Bit b tells of channel + b, for `number` channels."""
        word = zero("int32", lanes)
        for bit in range(number):
            place = (image * lists.channels + channel + bit) * lists.pixels + tile * LANES + pixel
            element = load(x, place, lanes)
            silent = element == zero("float32", lanes)
            word = tirx.bitwise_or(
                word, tirx.Select(silent, zero("int32", lanes), splat(tirx.const(1 << bit, "int32"), lanes))
            )
        return word

    if lists.together == 1:
        for byte, channel, number in _bytes(lists):
            for offset, lanes in chunks(count, LANES):
                word = bits(channel, number, offset, lanes)
                store(masks, target + byte * LANES + offset, lanes, cast(word, "uint8", lanes))
    elif count == LANES:
        word = _held(bits(tirx.const(0, "int32"), lists.channels, 0, LANES))
        width, shift = LANES, lists.channels
        while width > LANES // lists.together:
            halves = [_every_other(load(word, 0, width), width, first) for first in (0, 1)]
            width //= 2
            moved = tirx.shift_left(halves[1], _integers(shift, width))
            word = _held(tirx.bitwise_or(halves[0], moved), width)
            shift *= 2
        store(masks, target, width, cast(load(word, 0, width), "uint8", width))
    else:
        for first in range(0, count, lists.together):
            word = tirx.const(0, "int32")
            for pixel in range(first, min(first + lists.together, count)):
                own = bits(tirx.const(0, "int32"), lists.channels, pixel, 1)
                shift = _integers((pixel - first) * lists.channels, 1)
                word = tirx.bitwise_or(word, tirx.shift_left(own, shift))
            tir.buffer_store(masks, tirx.Cast("uint8", word), [target + first // lists.together])


def _bytes(lists: PixelLists) -> Iterator[tuple[Expression, Expression, int]]:
    """Emit loops over the bytes of a pixel; yields its number, its first channel and how many channels it has."""
    for cell, first, width in cells(lists):
        for byte, number in cell_bytes(width):
            yield cell * lists.cell_bytes + byte, first + byte * BITS, number


def _integers(value: int, lanes: int) -> Expression:
    return splat(tirx.const(value, "int32"), lanes)


def _every_other(vector: Expression, width: int, first: int) -> Expression:
    """The elements first, first + 2, … of a vector."""
    return tirx.Shuffle([vector], [tirx.const(lane, "int32") for lane in range(first, width, 2)])


def _held(vector: Expression, lanes: int = LANES) -> Buffer:
    """The vector in a register, which is a small array to TVM."""
    register = tir.alloc_buffer((lanes,), "int32")
    store(register, 0, lanes, vector)
    return register
