"""RoiAlign: sums of gathered elements with weights, which are constants where the regions are known beforehand."""

from __future__ import annotations

from math import ceil, prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from onnx import TensorProto

from astroedge.step.node_builder import NodeBuilder
from astroedge.targets.compiler.expand.expansion import Call, Rule, reduce_axis, refuse, stored
from astroedge.targets.compiler.expand.forms import reshaped, sliced

Array = np.ndarray[Any, np.dtype[Any]]
F = np.float32


def roi_align(call: Call, builder: NodeBuilder) -> bool:
    """RoiAlign, with computed regions where the number of samples does not depend on them."""
    regions, images = call.constant(1), call.constant(2)
    if regions is None or images is None:
        return _align_computed(call, builder)
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


def _align_computed(call: Call, builder: NodeBuilder) -> bool:
    """The same where regions or image numbers are computed, with as many samples for each as the call asks for."""
    options, (_, channels, height, width) = call.options, call.shape()
    samples = int(options.get("sampling_ratio", 0))
    if samples < 1:
        refuse(call, "computed regions, and samples as many as those are large (sampling_ratio 0)")
    size = (int(options.get("output_height", 1)), int(options.get("output_width", 1)))
    parts, count = prod(size), call.shape(1)[0]
    (rows, row_shares), (columns, column_shares) = (
        _points(call, builder, axis, size[axis], samples) for axis in (0, 1)
    )
    rows = builder.op("Mul", [rows, builder.constant(width, np.int64, "width")])
    places, weights = builder.op("Add", [rows, columns]), builder.op("Mul", [row_shares, column_shares])
    taps = samples * samples * 4
    flat = [reshaped(builder, item, (count, 1, parts, taps)) for item in (places, weights)]
    image = builder.op("Cast", [reshaped(builder, call.input(2), (count, 1, 1, 1))], to=TensorProto.INT64)
    whole = builder.op("Mul", [image, builder.constant(channels * height * width, np.int64, "image")])
    planes = np.arange(channels).reshape(-1, 1, 1) * height * width
    first = builder.op("Add", [whole, builder.constant(planes, np.int64, "planes")])
    places = stored(builder, builder.op("Add", [first, flat[0]]), (count, channels, parts, taps))
    elements = builder.op("Gather", [reshaped(builder, call.input(0), (-1,)), places], axis=0)
    elements = builder.op("Mul", [elements, flat[1]])
    largest = options.get("mode", b"avg") == b"max"
    result = reduce_axis(call, builder, "ReduceMax" if largest else "ReduceSum", elements, -1)
    if not largest:
        result = builder.op("Div", [result, builder.constant(samples * samples, call.dtype(), "samples")])
    reshaped(builder, result, (count, channels, *size), call.output(0))
    return True


def _points(call: Call, builder: NodeBuilder, axis: int, count: int, samples: int) -> tuple[str, str]:
    """Of the samples of every region on one axis: both neighbours' places, and their shares.

    Both have the axes [regions, parts, samples, 2], those of rows with an axis of 1 behind each but the first, those of
    columns before. The steps are those of `_samples`.
    """
    dtype, options, extent = call.dtype(), call.options, call.shape()[2 + axis]

    def number(value: ArrayLike, name: str = "number") -> str:
        return builder.constant(value, dtype, name)

    def binary(kind: str, left: str, right: str) -> str:
        return builder.op(kind, [left, right])

    half = options.get("coordinate_transformation_mode", b"half_pixel") == b"half_pixel" and call.opset >= 16
    shape = (-1, 1, 1, 1)
    ends = [
        reshaped(builder, sliced(builder, call.input(1), 1, place, place + 1), shape) for place in (1 - axis, 3 - axis)
    ]
    scale, shift = number(options.get("spatial_scale", 1.0)), number(0.5 if half else 0)
    first, last = (binary("Sub", binary("Mul", end, scale), shift) for end in ends)
    length = binary("Sub", last, first)
    length = length if half else binary("Max", length, number(1))
    part = binary("Div", length, number(count))
    inner = binary("Mul", number(np.arange(samples).reshape(-1, 1) + 0.5), part)
    inner = binary("Div", inner, number(samples))
    outer = binary("Add", first, binary("Mul", number(np.arange(count).reshape(-1, 1, 1)), part))
    points = binary("Add", outer, inner)
    inside = builder.op("Clip", [points, number(-1), number(extent)])
    seen = binary("Equal", inside, points)
    points = builder.op("Clip", [points, number(0), number(extent - 1)])
    low = builder.op("Floor", [points])
    above = binary("Sub", points, low)
    high = binary("Min", binary("Add", low, number(1)), number(extent - 1))
    shares = builder.op("Concat", [binary("Sub", number(1), above), above], axis=-1)
    shares = builder.op("Where", [seen, shares, number(0)])
    places = builder.op("Cast", [builder.op("Concat", [low, high], axis=-1)], to=TensorProto.INT64)
    apart = (call.shape(1)[0], count, samples, 2)
    flat = [apart[0], *(extent for n in apart[1:] for extent in ((n, 1) if axis == 0 else (1, n)))]
    return reshaped(builder, places, flat), reshaped(builder, shares, flat)


RULES: dict[str, Rule] = {"RoiAlign": roi_align}
