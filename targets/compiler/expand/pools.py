"""Pooling in the forms that TVM's importer lacks: every window gathered, then reduced."""

from __future__ import annotations

from math import prod

import numpy as np

from astroedge.step.node_builder import NodeBuilder
from astroedge.targets.compiler.expand.expansion import Call, Rule, reduce_axis
from astroedge.targets.compiler.expand.windows import Window


def max_pool(call: Call, builder: NodeBuilder) -> bool:
    """MaxPool with indices, of bytes, or with "same" or rounded-up windows."""
    plain = not call.output(1) and call.dtype().kind == "f"
    if plain and call.options.get("auto_pad", b"NOTSET") == b"NOTSET" and not call.options.get("ceil_mode", 0):
        return False
    window, shape = Window.of(call), call.shape()
    image = shape[2:]
    places, inside, _ = window.places(image)
    # What lies outside is the first element inside once more, so that a place is right where all elements are −∞.
    places = np.where(inside, places, np.take_along_axis(places, inside.argmax(1)[:, None], 1))
    dtype = call.dtype()
    lowest = -np.inf if dtype.kind == "f" else np.iinfo(dtype).min
    taps = _gathered(call, builder, places, np.asarray(inside.any(1, keepdims=True)), lowest)
    result = builder.constant([*shape[:2], *window.counts(image)], np.int64)
    best = reduce_axis(call, builder, "ReduceMax", taps, -1)
    builder.op("Reshape", [best, result], call.output(0))
    if call.output(1):
        chosen = builder.op("ArgMax", [taps], axis=-1, keepdims=0)
        rows = np.arange(len(places)) * places.shape[1]
        table = places
        if call.options.get("storage_order", 0):
            table = _column_major(places, image)
        place = builder.op("Add", [chosen, builder.constant(rows, np.int64)])
        found = builder.op("Gather", [builder.constant(table.reshape(-1), np.int64), place], axis=0)
        firsts = np.arange(prod(shape[:2])).reshape(-1, 1) * prod(image)
        whole = builder.op("Add", [found, builder.constant(firsts, np.int64)])
        builder.op("Reshape", [whole, result], call.output(1))
    return True


def _column_major(places: np.ndarray, image: tuple[int, ...]) -> np.ndarray:
    """The same places counted with the first axis running fastest."""
    coordinates = np.unravel_index(places, image)
    return np.ravel_multi_index(coordinates, image, order="F")


def average_pool(call: Call, builder: NodeBuilder) -> bool:
    """AveragePool with distances between taps, "same" or rounded-up windows, or over three axes."""
    options, shape = call.options, call.shape()
    spread = any(distance != 1 for distance in options.get("dilations", ()))
    automatic = options.get("auto_pad", b"NOTSET") != b"NOTSET"
    if not spread and not automatic and not options.get("ceil_mode", 0) and len(shape) < 5:
        return False
    window = Window.of(call)
    places, inside, padding = window.places(shape[2:])
    counted = padding if options.get("count_include_pad", 0) else inside
    total = reduce_axis(call, builder, "ReduceSum", _gathered(call, builder, places, inside, 0), -1)
    mean = builder.op("Div", [total, builder.constant(counted.sum(1), call.dtype())])
    result = builder.constant([*shape[:2], *window.counts(shape[2:])], np.int64)
    builder.op("Reshape", [mean, result], call.output(0))
    return True


def lp_pool(call: Call, builder: NodeBuilder) -> bool:
    """LpPool: the p-th root of the sum of p-th powers of a window's sizes."""
    window, shape = Window.of(call), call.shape()
    places, inside, _ = window.places(shape[2:])
    root = _norm(call, builder, _gathered(call, builder, places, inside, 0))
    result = builder.constant([*shape[:2], *window.counts(shape[2:])], np.int64)
    builder.op("Reshape", [root, result], call.output(0))
    return True


def global_lp_pool(call: Call, builder: NodeBuilder) -> bool:
    """The same over whole images."""
    shape = call.shape()
    rows = builder.op("Reshape", [call.input(0), builder.constant([prod(shape[:2]), 1, prod(shape[2:])], np.int64)])
    result = builder.constant([*shape[:2], *(1 for _ in shape[2:])], np.int64)
    builder.op("Reshape", [_norm(call, builder, rows), result], call.output(0))
    return True


def _gathered(call: Call, builder: NodeBuilder, places: np.ndarray, inside: np.ndarray, outside: float) -> str:
    """[images, windows, taps] of the elements in each window, `outside` where there is none."""
    shape = call.shape()
    rows = builder.op("Reshape", [call.input(0), builder.constant([prod(shape[:2]), prod(shape[2:])], np.int64)])
    taps = builder.op("Gather", [rows, builder.constant(places, np.int64, "places")], axis=1)
    if inside.all():
        return taps
    nothing = builder.constant(outside, call.dtype())
    return builder.op("Where", [builder.constant(inside, np.bool_, "inside"), taps, nothing])


def _norm(call: Call, builder: NodeBuilder, taps: str) -> str:
    power = int(call.options.get("p", 2))
    if power == 1:
        return reduce_axis(call, builder, "ReduceSum", builder.op("Abs", [taps]), -1)
    if power == 2:
        return builder.op("Sqrt", [reduce_axis(call, builder, "ReduceSum", builder.op("Mul", [taps, taps]), -1)])
    exponent, root = (builder.constant(number, call.dtype()) for number in (power, 1 / power))
    powers = builder.op("Pow", [builder.op("Abs", [taps]), exponent])
    return builder.op("Pow", [reduce_axis(call, builder, "ReduceSum", powers, -1), root])


RULES: dict[str, Rule] = {
    "AveragePool": average_pool,
    "GlobalLpPool": global_lp_pool,
    "LpPool": lp_pool,
    "MaxPool": max_pool,
}
