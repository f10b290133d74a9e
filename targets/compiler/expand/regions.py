"""RoiAlign of regions known beforehand: sums of gathered elements with constant weights."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from astroedge.step.node_builder import NodeBuilder
from astroedge.targets.compiler.expand.expansion import Call, Rule, reduce_axis

Array = np.ndarray[Any, np.dtype[Any]]
F = np.float32


def roi_align(call: Call, builder: NodeBuilder) -> bool:
    """RoiAlign with constant regions and image numbers."""
    regions, images = call.constant(1), call.constant(2)
    if regions is None or images is None:
        return False
    options, (_, channels, height, width) = call.options, call.shape()
    size = (int(options.get("output_height", 1)), int(options.get("output_width", 1)))
    spans = [[_samples(call, region[[1 - axis, 3 - axis]], axis, size[axis]) for axis in (0, 1)] for region in regions]
    corners = [_corners(rows, columns, width) for rows, columns in spans]
    counts = np.array([weights.shape[1] // 4 for _, weights in corners]).reshape(-1, 1, 1)
    most = int(counts.max()) * 4
    largest = options.get("mode", b"avg") == b"max"
    places = np.stack([_filled(item, most, repeat=True) for item, _ in corners])[:, None]
    weights = np.stack([_filled(item, most, repeat=largest) for _, item in corners])[:, None]
    planes = (images[:, None] * channels + np.arange(channels)) * height * width
    flat = builder.op("Reshape", [call.input(0), builder.constant([-1], np.int64)])
    chosen = [builder.constant(item, np.int64, "places") for item in (planes[:, :, None, None], places)]
    taps = builder.op("Gather", [flat, builder.op("Add", chosen)], axis=0)
    taps = builder.op("Mul", [taps, builder.constant(weights, call.dtype(), "weights")])
    result = reduce_axis(call, builder, "ReduceMax" if largest else "ReduceSum", taps, -1)
    if not largest:
        result = builder.op("Div", [result, builder.constant(np.maximum(counts, 1), call.dtype())])
    shape = builder.constant([len(regions), channels, *size], np.int64)
    builder.op("Reshape", [result, shape], call.output(0))
    return True


def _filled(samples: Array, count: int, *, repeat: bool) -> Array:
    """[parts, count]: the first sample again where a region has fewer, or zeros."""
    missing = count - samples.shape[1]
    more = np.tile(samples[:, :4], (1, missing // 4)) if repeat else np.zeros((len(samples), missing))
    return np.concatenate([samples, more], 1)


def _samples(call: Call, span: Array, axis: int, count: int) -> tuple[Array, Array]:
    """Of the samples in each of `count` parts of a span: the two places on the axis, and their weights.

    Both [parts, samples, 2]; a sample more than one element outside the image weighs nothing.
    """
    options, extent = call.options, call.shape()[2 + axis]
    half = options.get("coordinate_transformation_mode", b"half_pixel") == b"half_pixel" and call.opset >= 16
    first, last = span.astype(F) * F(options.get("spatial_scale", 1.0)) - F(0.5 if half else 0)
    length = last - first if half else max(last - first, F(1))
    part, ratio = length / F(count), int(options.get("sampling_ratio", 0))
    samples = ratio if ratio > 0 else ceil(length / count)
    inner = (np.arange(samples, dtype=F) + F(0.5)) * part / F(max(samples, 1))
    points = first + np.arange(count, dtype=F)[:, None] * part + inner[None, :]
    seen = (points >= -1) & (points <= extent)
    points = np.clip(points, 0, extent - 1)
    low = np.floor(points).astype(np.int64)
    above = (points - low).astype(F)
    places = np.stack([low, np.minimum(low + 1, extent - 1)], -1)
    return places, np.stack([1 - above, above], -1) * seen[..., None]


def _corners(rows: tuple[Array, Array], columns: tuple[Array, Array], width: int) -> tuple[Array, Array]:
    """The four neighbours of every sample: places in the flat image and weights, [parts, samples · 4]."""
    places = rows[0][:, None, :, None, :, None] * width + columns[0][None, :, None, :, None, :]
    weights = rows[1][:, None, :, None, :, None] * columns[1][None, :, None, :, None, :]
    parts = places.shape[0] * places.shape[1]
    return places.reshape(parts, -1), weights.reshape(parts, -1)


RULES: dict[str, Rule] = {"RoiAlign": roi_align}
