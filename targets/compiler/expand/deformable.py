"""DeformConv: a convolution whose windows read the image where offsets move their elements to, between pixels too."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from astroedge.step.node_builder import NodeBuilder
from astroedge.targets.compiler.expand.expansion import Call, Rule, refuse, stored
from astroedge.targets.compiler.expand.forms import reshaped
from astroedge.targets.compiler.expand.windows import Window


@dataclass(frozen=True)
class _Axis:
    """Rows or columns: their number, and for every sample the lower pixel and how far it is behind that one."""

    extent: int
    lower: str
    behind: str


def deform_conv(call: Call, builder: NodeBuilder) -> bool:
    """DeformConv of images as bilinear samples (0 outside), times a mask, in a product with the kernel."""
    shape, kernel = call.shape(), call.shape(1)
    if len(shape) != 4:
        refuse(call, f"{len(shape) - 2} axes instead of two")
    images, channels, *image = shape
    window = Window.of(call, kernel[2:])
    counts = window.counts(tuple(image))
    taps, places, groups = prod(kernel[2:]), prod(counts), int(call.options.get("offset_group", 1))
    offsets = reshaped(builder, call.input(2), (images, groups, taps, 2, places))
    axes = [_moved(call, builder, offsets, window, axis, counts) for axis in (0, 1)]
    planes = reshaped(builder, call.input(0), (images, groups, channels // groups, prod(image)))
    samples = _sampled(call, builder, planes, axes, (images, groups, channels // groups, taps * places))
    if call.input(4):
        mask = reshaped(builder, call.input(4), (images, groups, 1, taps * places))
        samples = builder.op("Mul", [samples, mask])
    parts = int(call.options.get("group", 1))
    rows = channels // parts * taps
    columns = stored(builder, samples, (images, parts, rows, places) if parts > 1 else (images, rows, places))
    outputs = kernel[0]
    weights = reshaped(builder, call.input(1), (parts, outputs // parts, rows) if parts > 1 else (outputs, rows))
    product = builder.op("MatMul", [weights, columns])
    if call.input(3):
        product = reshaped(builder, product, (images, outputs, places))
        product = builder.op("Add", [product, reshaped(builder, call.input(3), (outputs, 1))])
    reshaped(builder, product, (images, outputs, *counts), call.output(0))
    return True


def _moved(call: Call, builder: NodeBuilder, offsets: str, window: Window, axis: int, counts: list[int]) -> _Axis:
    """Where the samples lie on one axis: [images, groups, 1, taps · places]."""
    extent, (images, groups) = call.shape()[2 + axis], (call.shape()[0], int(call.options.get("offset_group", 1)))
    first = np.arange(counts[axis]) * window.strides[axis] - window.begins[axis]
    base = np.arange(window.kernel[axis])[:, None] * window.dilations[axis] + first
    # [kernel rows, kernel columns, output rows, output columns]
    along = base[:, None, :, None] if axis == 0 else base[None, :, None, :]
    whole = np.broadcast_to(along, (*window.kernel, *counts)).reshape(prod(window.kernel), prod(counts))
    moves = builder.op("Gather", [offsets, builder.constant(axis, np.int64, "axis")], axis=3)
    place = builder.op("Add", [moves, builder.constant(whole, call.dtype(), "places")])
    limits = [builder.constant(number, call.dtype(), "limit") for number in (-1, extent)]  # there a sample is 0
    size = prod(window.kernel) * prod(counts)
    place = reshaped(builder, builder.op("Clip", [place, *limits]), (images, groups, 1, size))
    lower = builder.op("Floor", [place])
    return _Axis(extent, lower, builder.op("Sub", [place, lower]))


def _sampled(call: Call, builder: NodeBuilder, planes: str, axes: list[_Axis], shape: tuple[int, ...]) -> str:
    """The sum of the four pixels around every sample, each times its share: `shape`."""
    total = ""
    for corner in np.ndindex(2, 2):
        share, place = "", ""
        for axis, upper in zip(axes, corner, strict=True):
            weight, index = _pixel(call, builder, axis, upper)
            share = builder.op("Mul", [share, weight]) if share else weight
            if place:
                place = builder.op("Mul", [place, builder.constant(axis.extent, np.int64, "width")])
            place = builder.op("Add", [place, index]) if place else index
        full = builder.op("Expand", [place, builder.constant(shape, np.int64, "shape")])
        pixels = builder.op("GatherElements", [planes, full], axis=3)
        part = builder.op("Mul", [pixels, share])
        total = builder.op("Add", [total, part]) if total else part
    return total


def _pixel(call: Call, builder: NodeBuilder, axis: _Axis, upper: int) -> tuple[str, str]:
    """The share of the lower or upper pixel of every sample, 0 for one outside, and its place, one inside."""
    one = builder.constant(1, call.dtype(), "one")
    pixel = builder.op("Add", [axis.lower, one]) if upper else axis.lower
    share = axis.behind if upper else builder.op("Sub", [one, axis.behind])
    ends = [builder.constant(number, call.dtype(), "end") for number in (0, axis.extent - 1)]
    inside = builder.op("Clip", [pixel, *ends])
    share = builder.op("Where", [builder.op("Equal", [inside, pixel]), share, builder.constant(0, call.dtype(), "out")])
    return share, builder.op("Cast", [inside], to=7)


RULES: dict[str, Rule] = {"DeformConv": deform_conv}
