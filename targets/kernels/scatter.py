"""Elements written, added, … at computed places, one after the other: of several at one place the last counts.

A place outside its axis is left out; a negative one counts from the end. Of a NaN and a number the one that came last
is the smaller and the larger, as in ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import reduce
from math import prod

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.tir_builder import (
    FORM,
    Buffer,
    Expression,
    Kernel,
    hold,
    in_vectors,
    kernel,
    load,
    loop,
    splat,
    store,
)

Combine = Callable[[Expression, Expression], Expression]

COMBINE: dict[str, Combine] = {
    "update": lambda held, new: new,
    "add": lambda held, new: held + new,
    "mul": lambda held, new: held * new,
    "min": lambda held, new: tirx.Select(held < new, held, new),
    "max": lambda held, new: tirx.Select(new < held, held, new),
}
COMBINE_BOOLEANS: dict[str, Combine] = {
    "update": lambda held, new: new,
    **dict.fromkeys(("add", "max"), tirx.Or),
    **dict.fromkeys(("mul", "min"), tirx.And),
}


def scatter_elements(
    shape: tuple[int, ...], places: tuple[int, ...], axis: int, reduction: str, dtype: str, index_dtype: str
) -> tirx.PrimFunc:
    """Kernel (x, indices, updates, y): y is x with each element of `updates` at its own point, but for `axis`.

    `x` and `y`: `shape`, flat, of `dtype`; `indices` of `index_dtype` and `updates` of `dtype`: `places`, flat.
    `reduction` says how an update and what is there are combined, a key of `COMBINE`. The order is that of `updates`.
    """
    with kernel("scatter") as built:
        indices, updates, y = _arguments(built, shape, prod(places), prod(places), dtype, index_dtype)
        strides = strides_of(shape)
        with ExitStack() as loops:
            point = [loops.enter_context(loop(extent)) for extent in places]
            place = offset_of(point, strides_of(places))
            index, inside = place_on(indices[place], shape[axis], index_dtype)
            others = [coordinate for number, coordinate in enumerate(point) if number != axis]
            steps = [stride for number, stride in enumerate(strides) if number != axis]
            target = hold(offset_of(others, steps) + index * strides[axis])
            _combine(updates, place, y, target, inside, 1, reduction)
    return built.function.with_attr(FORM, ["scatter_elements", shape, places, axis, reduction, dtype, index_dtype])


def scatter_slices(
    shape: tuple[int, ...], count: int, depth: int, reduction: str, dtype: str, index_dtype: str
) -> tirx.PrimFunc:
    """Kernel (x, indices, updates, y): y is x with slice number p of `updates` at indices[p, :], for p < `count`.

    `indices`: (count·depth,) of `index_dtype`, places on the first `depth` axes of `shape`; `updates`: (count·width,)
    with the width of what lies behind one such place. The rest as in `scatter_elements`.
    """
    width = prod(shape[depth:])
    with kernel("scatter") as built:
        indices, updates, y = _arguments(built, shape, count * depth, count * width, dtype, index_dtype)
        strides = strides_of(shape)
        with tir.serial(0, count) as number:
            found = [place_on(indices[number * depth + axis], shape[axis], index_dtype) for axis in range(depth)]
            target = hold(offset_of([index for index, _ in found], strides[:depth]))
            inside = hold(reduce(tirx.And, [met for _, met in found], tirx.const(True, "bool")))

            def write(offset: Expression, lanes: int) -> None:
                _combine(updates, number * width + offset, y, target + offset, inside, lanes, reduction)

            in_vectors(width, write)
    return built.function.with_attr(FORM, ["scatter_slices", shape, count, depth, reduction, dtype, index_dtype])


def _arguments(
    built: Kernel, shape: tuple[int, ...], indices: int, updates: int, dtype: str, index_dtype: str
) -> tuple[Buffer, Buffer, Buffer]:
    """The parameters but for x, of which y begins as a copy."""
    size = prod(shape)
    x = built.argument("x", (size,), dtype)
    places = built.argument("indices", (indices,), index_dtype)
    new = built.argument("updates", (updates,), dtype)
    y = built.argument("y", (size,), dtype)
    in_vectors(size, lambda offset, lanes: store(y, offset, lanes, load(x, offset, lanes)))
    return places, new, y


def place_on(index: Expression, extent: int, dtype: str) -> tuple[Expression, Expression]:
    """The place on an axis as an int32 that is always one of the axis, and whether it is the one that was asked for."""
    given, none, size = hold(index), tirx.const(0, dtype), tirx.const(extent, dtype)
    inside = tirx.And(given >= tirx.const(-extent, dtype), given < size)
    counted = tirx.Select(given < none, given + size, given)
    return hold(tirx.Cast("int32", tirx.Select(inside, counted, none))), inside


def _combine(
    updates: Buffer, start: Expression, y: Buffer, target: Expression, inside: Expression, lanes: int, reduction: str
) -> None:
    held = load(y, target, lanes)
    new = rules_of(str(y.ty.dtype))[reduction](held, load(updates, start, lanes))
    store(y, target, lanes, tirx.Select(splat(inside, lanes), new, held))


def rules_of(dtype: str) -> dict[str, Combine]:
    """How an element of `dtype` and an update are combined, by reduction."""
    return COMBINE_BOOLEANS if dtype == "bool" else COMBINE


def strides_of(shape: tuple[int, ...]) -> list[int]:
    """How many elements apart neighbours on each axis are."""
    return [prod(shape[axis + 1 :]) for axis in range(len(shape))]


def offset_of(point: Sequence[Expression], strides: Sequence[int]) -> Expression:
    """Where the element at a point lies."""
    return sum((place * stride for place, stride in zip(point, strides, strict=True)), tirx.const(0, "int32"))
