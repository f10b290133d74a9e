"""The active elements of an image, pixel by pixel: what every event-driven convolution that reads it shares.

They are found in two steps. `pixel_masks` makes bytes of which each bit tells whether one element is active, in vectors
along the pixels. `active_pixels` lists the elements by looking each byte up in a table, eight at a time: it takes no
branch, so the time of both depends on the sizes alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray
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
    splat,
    store,
    zero,
)
from astroedge.targets.kernels.stored_weights import cast

INFINITY_BITS = 0x7F800000
"""The bits of +infinity; without the sign, those of every infinity and NaN are at least as large."""
BITS = 8
LANES = 16


@dataclass(frozen=True)
class PixelLists:
    """The images whose active elements are listed: `batch` of `channels` × `pixels`, channels first.

    The list can be entered at every pixel and, in a pixel, at every `cell`-th channel.
    """

    batch: int
    channels: int
    pixels: int
    cell: int

    @property
    def size(self) -> int:
        """Elements of all images."""
        return self.batch * self.channels * self.pixels

    @property
    def cells(self) -> int:
        """Cells of a pixel."""
        return ceil(self.channels / self.cell)

    @property
    def together(self) -> int:
        """How many pixels share a byte; a power of 2 above 1 only if a pixel is one cell of at most 4 channels."""
        return {1: 8, 2: 4, 3: 2, 4: 2}.get(self.channels, 1) if self.cells == 1 else 1

    @property
    def cell_bytes(self) -> int:
        """Bytes of a cell of one pixel, or of the pixels that share one."""
        return ceil(self.cell / BITS)

    @property
    def masks_size(self) -> int:
        """Elements of `masks`: for every 16 pixels, for each of a pixel's bytes, 16, or fewer where they are shared."""
        return self.batch * ceil(self.pixels / LANES) * LANES * self.cells * self.cell_bytes // self.together

    @property
    def indices_size(self) -> int:
        """Elements of `indices`; the last look-up may write beyond the list."""
        return self.size + BITS

    @property
    def image_starts(self) -> int:
        """Elements of `starts` for one image."""
        return self.pixels * self.cells + 2


def bit_table() -> NDArray[np.int8]:
    """For every byte the numbers of its set bits, ascending, in 8 places; then for every byte how many there are."""
    bits = [[bit for bit in range(BITS) if byte >> bit & 1] for byte in range(256)]
    places = [[*found, *[0] * (BITS - len(found))] for found in bits]
    return np.array([*np.ravel(places), *map(len, bits)], np.int8)


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


def active_pixels(lists: PixelLists, *, values: bool) -> tirx.PrimFunc:
    """Kernel ([x], masks, table, indices, starts, [values], counter): the elements of each image that are not zero.

    - `x`: (batch·channels·pixels,) float32, only if `values`; `masks` from `pixel_masks`, `table` from `bit_table`;
    - `indices`: (lists.indices_size,) int32: image m's list starts at m·channels·pixels; it holds
      pixel·channels + channel of each active element, ascending; what lies behind its end has no meaning;
    - `starts`: (batch·lists.image_starts,) int32: in image m's part, starts[pixel·cells + n] active elements lie before
      cell n of the pixel. The last but one entry is the count; the last is 1 if an element is infinite or NaN (0 if not
      `values`);
    - `values`: (batch·channels·pixels,) float32, only if `values`: the elements on the list;
    - `counter`: (1,) int64, to which the counts of all images are added.
    """
    size = lists.channels * lists.pixels
    with kernel("active_pixels") as built:
        x = built.argument("x", (lists.size,), "float32") if values else None
        masks = built.argument("masks", (lists.masks_size,), "uint8")
        table = built.argument("table", (256 * (BITS + 1),), "int8")
        indices = built.argument("indices", (lists.indices_size,), "int32")
        starts = built.argument("starts", (lists.batch * lists.image_starts,), "int32")
        kept = built.argument("values", (lists.size,), "float32") if values else None
        counter = built.argument("counter", (1,), "int64")
        with tir.serial(0, lists.batch) as image:
            listing = _Listing(lists, masks, table, indices, starts, image, tir.alloc_buffer((1,), "int32"))
            listing.emit()
            last = (image + 1) * lists.image_starts - 1
            if x is not None:
                with tir.serial(0, listing.count[0]) as position:
                    k = hold(indices[image * size + position])
                    place = tirx.truncmod(k, lists.channels) * lists.pixels + tirx.truncdiv(k, lists.channels)
                    tir.buffer_store(kept, x[image * size + place], [image * size + position])
            odd = tirx.const(0, "int32") if x is None else _holds_odd(x, image * size, size)
            tir.buffer_store(starts, odd, [last])
            tir.buffer_store(counter, counter[0] + tirx.Cast("int64", listing.count[0]), [0])
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
    for cell, first, width in _cells(lists):
        for byte, number in _cell_bytes(width):
            yield cell * lists.cell_bytes + byte, first + byte * BITS, number


def _cells(lists: PixelLists) -> Iterator[tuple[Expression, Expression, int]]:
    """Emit a loop over the whole cells of a pixel, then the narrower last one; yields number, first channel, width."""
    whole, rest = divmod(lists.channels, lists.cell)
    with loop(whole) as cell:
        yield cell, cell * lists.cell, lists.cell
    if rest:
        yield tirx.const(whole, "int32"), tirx.const(whole * lists.cell, "int32"), rest


def _cell_bytes(width: int) -> Iterator[tuple[Expression, int]]:
    """Emit a loop over the whole bytes of a cell, then the rest; yields number and channels of each."""
    whole, rest = divmod(width, BITS)
    if whole:
        with loop(whole) as byte:
            yield byte, BITS
    if rest:
        yield tirx.const(whole, "int32"), rest


@dataclass(frozen=True)
class _Listing:
    """The list of one image; `count` holds how long it is so far."""

    lists: PixelLists
    masks: Buffer
    table: Buffer
    indices: Buffer
    starts: Buffer
    image: Expression
    count: Buffer

    def emit(self) -> None:
        """Emit the look-ups of all its bytes, and the last entry of `starts`."""
        lists = self.lists
        tir.buffer_store(self.count, 0, [0])
        whole, rest = divmod(lists.pixels, lists.together)
        with loop(whole) as index:
            self._emit_pixels(index, lists.together)
        if rest:
            self._emit_pixels(tirx.const(whole, "int32"), rest)
        self._store_start(tirx.const(lists.pixels, "int32"), tirx.const(0, "int32"), self.count[0])

    def _emit_pixels(self, index: Expression, pixels: int) -> None:
        """Emit the look-ups of one pixel, or of the `pixels` that share a byte."""
        lists = self.lists
        tiles = self.image * ceil(lists.pixels / LANES)
        if lists.together == 1:
            origin = (tiles + tirx.floordiv(index, LANES)) * LANES * lists.cells * lists.cell_bytes
            for cell, first, width in _cells(lists):
                self._store_start(index, cell, self.count[0])
                for byte, _ in _cell_bytes(width):
                    place = (cell * lists.cell_bytes + byte) * LANES + tirx.floormod(index, LANES)
                    self._look_up(origin + place, index * lists.channels + first + byte * BITS)
            return
        place = tiles * (LANES // lists.together) + index
        for pixel in range(pixels):
            before = tirx.bitwise_and(self._byte(place), tirx.const((1 << pixel * lists.channels) - 1, "int32"))
            number = tirx.Cast("int32", self.table[256 * BITS + before])
            self._store_start(index * lists.together + pixel, tirx.const(0, "int32"), self.count[0] + number)
        self._look_up(place, index * lists.together * lists.channels)

    def _store_start(self, pixel: Expression, cell: Expression, count: Expression) -> None:
        place = self.image * self.lists.image_starts + pixel * self.lists.cells + cell
        tir.buffer_store(self.starts, count, [place])

    def _byte(self, place: Expression) -> Expression:
        return tirx.Cast("int32", self.masks[place])

    def _look_up(self, place: Expression, first: Expression) -> None:
        """Emit the elements of the byte at `place`, whose bit 0 tells of element `first`."""
        byte = hold(self._byte(place))
        size = self.lists.channels * self.lists.pixels
        numbers = cast(load(self.table, byte * BITS, BITS), "int32", BITS)
        store(self.indices, self.image * size + self.count[0], BITS, splat(first, BITS) + numbers)
        tir.buffer_store(self.count, self.count[0] + tirx.Cast("int32", self.table[256 * BITS + byte]), [0])


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


def _holds_odd(x: Buffer, base: Expression, size: int) -> Expression:
    """1 if one of `size` float32 numbers is infinite or NaN, else 0."""
    largest = tir.alloc_buffer((LANES,), "int32")
    store(largest, 0, LANES, zero("int32", LANES))

    def take(first: Expression, lanes: int) -> None:
        dtype = "int32" if lanes == 1 else f"int32x{lanes}"
        bits = tirx.reinterpret(dtype, load(x, base + first, lanes))
        magnitude = tirx.bitwise_and(bits, splat(tirx.const(0x7FFFFFFF, "int32"), lanes))
        store(largest, 0, lanes, tirx.max(load(largest, 0, lanes), magnitude))

    whole = size // LANES
    with tir.serial(0, whole) as index:
        take(index * LANES, LANES)
    for offset, lanes in chunks(size - whole * LANES):
        take(tirx.const(whole * LANES + offset, "int32"), lanes)
    for half in (8, 4, 2, 1):
        store(largest, 0, half, tirx.max(load(largest, 0, half), load(largest, half, half)))
    return tirx.Select(largest[0] >= INFINITY_BITS, 1, 0)
