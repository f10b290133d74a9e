"""Sorting and writes at computed places for a processor of thousands of threads: every element is computed by itself.

The kernels of `sort.py` and `scatter.py` do one thing after the other, which is least work. These do more, but none of
it waits: an element's place in the order is how many come before it, and an element that updates may change looks
through them itself, in their order. So the results are the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from math import prod

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.scatter import offset_of, place_on, rules_of, strides_of
from astroedge.targets.kernels.sort import key_of
from astroedge.targets.tir_builder import Expression, hold, independent, kernel, load


def top_k_by_element(outer: int, width: int, count: int, largest: bool, dtype: str) -> tirx.PrimFunc:
    """Kernel (x, values, indices): as `sort.top_k`, without working memory."""
    with kernel("sort") as built:
        x = built.argument("x", (outer * width,), dtype)
        values = built.argument("values", (outer * count,), dtype)
        indices = built.argument("indices", (outer * count,), "int64")

        def key(place: Expression) -> Expression:
            return key_of(load(x, place, 1), dtype, 1, largest)

        with independent(outer) as row, independent(width) as place:
            own, rank = hold(key(row * width + place)), tir.alloc_buffer((1,), "int32")
            tir.buffer_store(rank, tirx.const(0, "int32"), [0])
            with tir.serial(0, width) as other:
                theirs = key(row * width + other)
                before = tirx.Or(theirs < own, tirx.And(theirs == own, other < place))
                tir.buffer_store(rank, rank[0] + tirx.Cast("int32", before), [0])
            with tir.If(rank[0] < count), tir.Then():
                tir.buffer_store(values, x[row * width + place], [row * count + rank[0]])
                tir.buffer_store(indices, tirx.Cast("int64", place), [row * count + rank[0]])
    return built.function


def scatter_elements_by_element(
    shape: Sequence[int], places: Sequence[int], axis: int, reduction: str, dtype: str, index_dtype: str
) -> tirx.PrimFunc:
    """Kernel (x, indices, updates, y): as `scatter.scatter_elements`."""
    strides, apart = strides_of(tuple(shape)), strides_of(tuple(places))

    def find(target: Expression, update: Callable[[Expression, Expression], None], indices: tirx.Buffer) -> None:
        point = [target // stride % extent for stride, extent in zip(strides, shape, strict=True)]
        others = [number for number in range(len(shape)) if number != axis]
        narrower = [point[number] < places[number] for number in others if places[number] < shape[number]]
        first = offset_of([point[number] for number in others], [apart[number] for number in others])
        has_updates = reduce(tirx.And, narrower, tirx.const(True, "bool"))
        with tir.If(has_updates), tir.Then(), tir.serial(0, places[axis]) as turn:
            number = first + turn * apart[axis]
            index, inside = place_on(indices[number], shape[axis], index_dtype)
            update(number, tirx.And(inside, index == point[axis]))

    return _scatter(prod(shape), prod(places), prod(places), reduction, dtype, index_dtype, find)


def scatter_slices_by_element(
    shape: Sequence[int], count: int, depth: int, reduction: str, dtype: str, index_dtype: str
) -> tirx.PrimFunc:
    """Kernel (x, indices, updates, y): as `scatter.scatter_slices`."""
    width, strides = prod(shape[depth:]), strides_of(tuple(shape[:depth]))

    def find(target: Expression, update: Callable[[Expression, Expression], None], indices: tirx.Buffer) -> None:
        with tir.serial(0, count) as turn:
            found = [place_on(indices[turn * depth + axis], shape[axis], index_dtype) for axis in range(depth)]
            inside = reduce(tirx.And, [met for _, met in found], tirx.const(True, "bool"))
            slot = offset_of([index for index, _ in found], strides)
            update(turn * width + target % width, tirx.And(inside, slot == target // width))

    return _scatter(prod(shape), count * depth, count * width, reduction, dtype, index_dtype, find)


def _scatter(
    size: int, indices: int, updates: int, reduction: str, dtype: str, index_dtype: str, find: Callable[..., None]
) -> tirx.PrimFunc:
    """The kernel whose every element is updated by what `find` says: which update, and whether it is one of its own."""
    with kernel("scatter") as built:
        x = built.argument("x", (size,), dtype)
        places = built.argument("indices", (indices,), index_dtype)
        new = built.argument("updates", (updates,), dtype)
        y = built.argument("y", (size,), dtype)
        with independent(size) as target:
            held = tir.alloc_buffer((1,), dtype)
            tir.buffer_store(held, x[target], [0])

            def update(number: Expression, own: Expression) -> None:
                combined = rules_of(dtype)[reduction](held[0], new[number])
                tir.buffer_store(held, tirx.Select(own, combined, held[0]), [0])

            find(target, update, places)
            tir.buffer_store(y, held[0], [target])
    return built.function
