"""The active elements of an image, pixel by pixel: what every event-driven convolution that reads it shares.

They are found in two steps. `pixel_masks` makes bytes of which each bit tells whether one element is active, in vectors
along the pixels. `active_pixels` lists the elements by looking each byte up in a table, eight at a time: it takes no
branch, so the time of both depends on the sizes alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray
from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.convolutions.pixel_lists import BITS, LANES, PixelLists, cell_bytes, cells
from astroedge.targets.kernels.stored_weights import cast
from astroedge.targets.tir_builder import (
    Buffer,
    Expression,
    chunks,
    hold,
    kernel,
    load,
    loop,
    splat,
    store,
    zero,
)

INFINITY_BITS = 0x7F800000
"""The bits of +infinity; without the sign, those of every infinity and NaN are at least as large."""


def bit_table() -> NDArray[np.int8]:
    """For every byte the numbers of its set bits, ascending, in 8 places; then for every byte how many there are."""
    bits = [[bit for bit in range(BITS) if byte >> bit & 1] for byte in range(256)]
    places = [[*found, *[0] * (BITS - len(found))] for found in bits]
    return np.array([*np.ravel(places), *map(len, bits)], np.int8)


def active_pixels(lists: PixelLists, *, values: bool) -> tirx.PrimFunc:
    """Kernel ([x], masks, table, indices, starts, [values], counter): the elements of each image that are not zero.

    - `x`: (batch·channels·pixels,) float32, only if `values`; `masks` from `pixel_masks`, `table` from `bit_table`;
    - `indices`: (lists.indices_size,) int32: image m's list starts at m·channels·pixels; it holds
      pixel·channels + channel of each active element, ascending; what lies behind its end has no meaning;
    - `starts`: (batch·lists.image_starts,) int32: in image m's part, starts[pixel·cells + n] active elements lie before
      cell n of the pixel. The last but one entry is the count; the last is 1 if an element is infinite or NaN (0 if not
      `values`);
    - `values`: (lists.values_size,) float32, only if `values`: the elements on the list;
    - `counter`: (1,) int64, to which the counts of all images are added.
    """
    size = lists.channels * lists.pixels
    with kernel("active_pixels") as built:
        x = built.argument("x", (lists.size,), "float32") if values else None
        masks = built.argument("masks", (lists.masks_size,), "uint8")
        table = built.argument("table", (256 * (BITS + 1),), "int8")
        indices = built.argument("indices", (lists.indices_size,), "int32")
        starts = built.argument("starts", (lists.batch * lists.image_starts,), "int32")
        kept = built.argument("values", (lists.values_size,), "float32") if values else None
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
            for cell, first, width in cells(lists):
                self._store_start(index, cell, self.count[0])
                for byte, _ in cell_bytes(width):
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
