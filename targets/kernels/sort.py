"""The k best elements of vectors with their places: the largest or smallest first, equal ones as they stand.

Every element gets a key, an integer that is smaller the better the element is. The k-th smallest key is found bit by
bit, by counting; what is not worse is listed in the order in which it stands, and the list is sorted: a short one by
counting for each element how many come before it, a longer one byte by byte (a radix sort). No step depends on how the
elements lie, so the time is always the same. +0 and −0 are equal, and a NaN is larger than every number, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.tir_builder import FORM, Buffer, Expression, hold, in_vectors, kernel, load, splat, store, zero

LANES = 16
COUNTED = 64  # so many elements are sorted by counting; for more of them bytes are quicker
DIGITS = 256
WIDE = ("int64", "uint32", "float64")  # what needs keys of 64 bits
_BITS = {"float16": "int16", "float32": "int32", "float64": "int64"}


def scratch_sizes(width: int, count: int) -> tuple[int, int]:
    """How many keys and how many places `top_k` needs as working memory."""
    return width, 2 * (count + 1) + DIGITS


def key_dtype(dtype: str) -> str:
    """The dtype of the keys of elements of `dtype`."""
    return "int64" if dtype in WIDE else "int32"


@dataclass(frozen=True)
class _Row:
    """One vector: its keys, the list of places that becomes its result, and working memory."""

    keys: Buffer
    places: Buffer
    width: int
    count: int

    @property
    def dtype(self) -> str:
        """The dtype of the keys."""
        return str(self.keys.ty.dtype)


def top_k(outer: int, width: int, count: int, largest: bool, dtype: str) -> tirx.PrimFunc:
    """Kernel (x, values, indices, keys, places): the `count` largest or smallest of x[o, :], best first.

    `x`: (outer·width,) and `values`: (outer·count,) of `dtype`; `indices`: (outer·count,) int64. `keys` and `places`
    are working memory of `scratch_sizes` elements, of `key_dtype` and int32.
    """
    key_count, place_count = scratch_sizes(width, count)
    with kernel("sort") as built:
        x = built.argument("x", (outer * width,), dtype)
        values = built.argument("values", (outer * count,), dtype)
        indices = built.argument("indices", (outer * count,), "int64")
        keys = built.argument("keys", (key_count,), key_dtype(dtype))
        places = built.argument("places", (place_count,), "int32")
        row = _Row(keys, places, width, count)
        with tir.serial(0, outer) as index:
            in_vectors(width, lambda offset, lanes: _store_keys(row, x, index * width, offset, lanes, largest))
            _list_best(row)
            _sort_by_counting(row) if count <= COUNTED else _sort_by_bytes(row)
            with tir.serial(0, count) as place:
                found = hold(places[place])
                tir.buffer_store(values, x[index * width + found], [index * count + place])
                tir.buffer_store(indices, tirx.Cast("int64", found), [index * count + place])
    return built.function.with_attr(FORM, ["top_k", outer, width, count, int(largest), dtype])


def _store_keys(row: _Row, x: Buffer, start: Expression, offset: Expression, lanes: int, largest: bool) -> None:
    store(row.keys, offset, lanes, key_of(load(x, start + offset, lanes), str(x.ty.dtype), lanes, largest))


def key_of(value: Expression, dtype: str, lanes: int, largest: bool) -> Expression:
    """The key of an element of `dtype`, or of a vector of them."""
    key = _ascending_key(value, dtype, key_dtype(dtype), lanes)
    return tirx.bitwise_not(key) if largest else key


def _ascending_key(value: Expression, dtype: str, wide: str, lanes: int) -> Expression:
    """An integer that orders the elements as they are ordered."""
    vector = f"{wide}x{lanes}" if lanes > 1 else wide
    if dtype not in _BITS:
        return tirx.Cast(vector, value)
    bits_dtype = _BITS[dtype]
    info = np.iinfo(bits_dtype)
    bits = tirx.reinterpret(f"{bits_dtype}x{lanes}" if lanes > 1 else bits_dtype, value)
    size = tirx.bitwise_and(bits, splat(tirx.const(info.max, bits_dtype), lanes))
    infinity = splat(tirx.const(int(np.array(np.inf, dtype).view(bits_dtype)), bits_dtype), lanes)
    ordered = tirx.Select(bits < zero(bits_dtype, lanes), zero(bits_dtype, lanes) - size, size)
    return tirx.Cast(vector, tirx.Select(size > infinity, splat(tirx.const(info.max, bits_dtype), lanes), ordered))


def _list_best(row: _Row) -> None:
    """Write the places of the best elements, ascending, to the beginning of `places`."""
    if row.count == row.width:
        with tir.serial(0, row.count) as index:
            tir.buffer_store(row.places, index, [index])
        return
    bound = _kth_key(row)
    ties = tir.alloc_buffer((1,), "int32")
    listed = tir.alloc_buffer((1,), "int32")
    below = _count(row, lambda key, lanes: key < splat(bound, lanes))
    tir.buffer_store(ties, tirx.const(row.count, "int32") - below, [0])
    tir.buffer_store(listed, tirx.const(0, "int32"), [0])
    with tir.serial(0, row.width) as index:
        key = hold(row.keys[index])
        tie = hold(_one(tirx.And(key == bound, ties[0] > tirx.const(0, "int32"))))
        tir.buffer_store(row.places, index, [listed[0]])
        tir.buffer_store(listed, listed[0] + tie + _one(key < bound), [0])
        tir.buffer_store(ties, ties[0] - tie, [0])


def _kth_key(row: _Row) -> Expression:
    """The smallest key that at least `count` keys do not exceed, from its highest bit to its lowest."""
    dtype, info = row.dtype, np.iinfo(row.dtype)
    lowest = tirx.const(info.min, dtype)
    found = tir.alloc_buffer((1,), dtype)
    tir.buffer_store(found, tirx.const(0, dtype), [0])
    with tir.serial(0, info.bits) as index:
        below = hold(tirx.const(info.max, dtype) >> tirx.Cast(dtype, index))  # all bits under the one in question
        bit = tirx.bitwise_xor(tirx.bitwise_not(below), tirx.bitwise_not(below) << tirx.const(1, dtype))
        candidate = hold(tirx.bitwise_xor(tirx.bitwise_or(found[0], below), lowest))
        reached = _count(row, lambda key, lanes: key <= splat(candidate, lanes))
        missing = reached < tirx.const(row.count, "int32")
        tir.buffer_store(found, tirx.Select(missing, tirx.bitwise_or(found[0], bit), found[0]), [0])
    return hold(tirx.bitwise_xor(found[0], lowest))


def _count(row: _Row, counts: Callable[[Expression, int], Expression]) -> Expression:
    """How many keys fulfil a condition."""
    lanes_sum = tir.alloc_buffer((LANES,), "int32")
    store(lanes_sum, 0, LANES, zero("int32", LANES))

    def add(offset: Expression, lanes: int) -> None:
        met = _one(counts(load(row.keys, offset, lanes), lanes), lanes)
        store(lanes_sum, 0, lanes, load(lanes_sum, 0, lanes) + met)

    in_vectors(row.width, add)
    return hold(tirx.call_llvm_pure_intrin("int32", "llvm.vector.reduce.add", load(lanes_sum, 0, LANES)))


def _sort_by_counting(row: _Row) -> None:
    """The place of an element in the order is how many keys are smaller, or equal and before it."""
    count = row.count
    short = tir.alloc_buffer((count,), row.dtype)
    listed = tir.alloc_buffer((count,), "int32")
    with tir.serial(0, count) as index:
        tir.buffer_store(listed, row.places[index], [index])
        tir.buffer_store(short, row.keys[listed[index]], [index])
    with tir.serial(0, count) as index:
        key = hold(short[index])
        rank = tir.alloc_buffer((LANES,), "int32")
        store(rank, 0, LANES, zero("int32", LANES))

        def add(offset: Expression, lanes: int, index: Expression = index, key: Expression = key) -> None:
            others = load(short, offset, lanes)
            numbers = offset if lanes == 1 else tirx.Ramp(offset, 1, lanes)
            tie = tirx.And(others == splat(key, lanes), numbers < splat(index, lanes))
            store(rank, 0, lanes, load(rank, 0, lanes) + _one(tirx.Or(others < splat(key, lanes), tie), lanes))

        in_vectors(count, add)
        first = hold(tirx.call_llvm_pure_intrin("int32", "llvm.vector.reduce.add", load(rank, 0, LANES)))
        tir.buffer_store(row.places, listed[index], [first])


def _sort_by_bytes(row: _Row) -> None:
    """Sort by the lowest byte of the keys first, keeping the order of equal bytes; the highest byte has the sign."""
    places, dtype, count = row.places, row.dtype, row.count
    starts = 2 * (count + 1)  # where the table of how many elements have which byte begins
    rounds = np.dtype(dtype).itemsize  # an even number: the last round writes to the beginning of `places`
    for turn in range(rounds):
        source, target = (0, count + 1) if turn % 2 == 0 else (count + 1, 0)

        def digit(place: Expression, turn: int = turn) -> Expression:
            shifted = row.keys[place] >> tirx.const(8 * turn, dtype)
            byte = tirx.Cast("int32", tirx.bitwise_and(shifted, tirx.const(DIGITS - 1, dtype)))
            flip = DIGITS // 2 if turn == rounds - 1 else 0
            return tirx.bitwise_xor(byte, tirx.const(flip, "int32")) if flip else byte

        in_vectors(DIGITS, lambda offset, lanes: store(places, starts + offset, lanes, zero("int32", lanes)))
        with tir.serial(0, count) as index:
            slot = hold(starts + digit(places[source + index]))
            tir.buffer_store(places, places[slot] + 1, [slot])
        total = tir.alloc_buffer((1,), "int32")
        tir.buffer_store(total, tirx.const(0, "int32"), [0])
        with tir.serial(0, DIGITS) as index:
            here = hold(places[starts + index])
            tir.buffer_store(places, total[0], [starts + index])
            tir.buffer_store(total, total[0] + here, [0])
        with tir.serial(0, count) as index:
            place = hold(places[source + index])
            slot = hold(starts + digit(place))
            goal = hold(places[slot])
            tir.buffer_store(places, place, [target + goal])
            tir.buffer_store(places, goal + 1, [slot])


def _one(condition: Expression, lanes: int = 1) -> Expression:
    return tirx.Select(condition, splat(tirx.const(1, "int32"), lanes), zero("int32", lanes))
