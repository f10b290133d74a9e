"""Writes: to rows known beforehand as choices, and what is a write at computed places by another name.

A choice between the row that was there and the new one, gathered from its known place, is an element-wise operator like
any other: `queue[:-1] = queue[1:]`, circular padding.
"""

from __future__ import annotations

from math import prod

import numpy as np

from astroedge.step.node_builder import NodeBuilder
from astroedge.targets.compiler.expand.expansion import Call, Rule
from astroedge.targets.compiler.expand.picks import slice_axis
from astroedge.targets.compiler.expand.windows import Window

NONE = b"none"


def scatter_rows(call: Call, builder: NodeBuilder) -> bool:
    """ScatterND without reduction whose indices are a constant list of rows of a tensor of fixed shape."""
    indices = call.constant(1)
    if indices is None or call.options.get("reduction", NONE) != NONE or call.input(0) not in call.types.shapes:
        return False
    if indices.ndim != 2 or indices.shape[1] != 1:
        return False
    shape = call.shape()
    sources = np.full(shape[0], -1)
    sources[indices[:, 0]] = np.arange(len(indices))
    written = (sources >= 0).reshape(-1, *(1 for _ in shape[1:]))
    moved = builder.op("Gather", [call.input(2), builder.constant(np.maximum(sources, 0), np.int64, "sources")], axis=0)
    builder.op("Where", [builder.constant(written, np.bool_, "written"), moved, call.input(0)], call.output(0))
    return True


def tensor_scatter(call: Call, builder: NodeBuilder) -> bool:
    """TensorScatter: the rows of an update, one after the other from a place for each stream."""
    shape, rows = call.shape(), call.shape(1)
    axis = int(call.options.get("axis", -2)) % len(shape)
    numbers = np.arange(rows[axis]).reshape([-1 if place == axis else 1 for place in range(len(rows))])
    places = builder.constant(numbers, np.int64)
    if call.input(2):
        column = [shape[0], *(1 for _ in shape[1:])]
        first = builder.op("Reshape", [call.input(2), builder.constant(column, np.int64)])
        places = builder.op("Add", [first, places])
    if call.options.get("mode", b"linear") == b"circular":
        places = builder.op("Mod", [places, builder.constant(shape[axis], np.int64)])
    places = builder.op("Expand", [places, builder.constant(rows, np.int64)])
    builder.op("ScatterElements", [call.input(0), places, call.input(1)], call.output(0), axis=axis)
    return True


def max_unpool(call: Call, builder: NodeBuilder) -> bool:
    """MaxUnpool: elements at places of the flat result, 0 elsewhere."""
    given = call.constant(2)
    if call.input(2) and given is None:
        return False
    window, shape = Window.of(call), call.shape()
    unpooled = [*shape[:2], *window.unpooled(shape[2:])]
    result = unpooled if given is None else given.tolist()
    minus_one = builder.constant([-1], np.int64)
    indices, values = (builder.op("Reshape", [call.input(place), minus_one]) for place in (1, 0))
    nothing = builder.constant(np.zeros(prod(result)), call.dtype())
    flat = builder.op("ScatterElements", [nothing, indices, values], axis=0)
    builder.op("Reshape", [flat, builder.constant(result, np.int64)], call.output(0))
    return True


def columns_to_image(call: Call, builder: NodeBuilder) -> bool:
    """Col2Im: every element of every window added to its place, in the order of the columns."""
    image, block = call.constant(1), call.constant(2)
    if image is None or block is None:
        return False
    extents = image.tolist()
    places, inside, _ = Window.of(call, tuple(block.tolist())).places(tuple(extents))
    size, taps = prod(extents), places.shape[-1]
    batch, rows, columns = call.shape()
    channels = rows // taps
    targets = np.where(inside, places, size).T.reshape(1, 1, -1)  # what lies outside goes to an element more
    full = np.broadcast_to(targets, (batch, channels, taps * columns))
    nothing = builder.constant(np.zeros((batch, channels, size + 1)), call.dtype())
    updates = builder.op("Reshape", [call.input(0), builder.constant(full.shape, np.int64)])
    indices = builder.constant(full, np.int64)
    added = builder.op("ScatterElements", [nothing, indices, updates], axis=2, reduction="add")
    cut = slice_axis(builder, added, 2, 0, size)
    builder.op("Reshape", [cut, builder.constant([batch, channels, *extents], np.int64)], call.output(0))
    return True


RULES: dict[str, Rule] = {
    "Col2Im": columns_to_image,
    "MaxUnpool": max_unpool,
    "ScatterND": scatter_rows,
    "TensorScatter": tensor_scatter,
}
