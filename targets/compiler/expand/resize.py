"""Resize and Upsample: on each axis, sums of a few gathered rows with constant weights; spikes stay sparse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper

from astroedge.step.node_builder import NodeBuilder
from astroedge.targets.compiler.expand.expansion import Call, Rule, stored
from astroedge.targets.compiler.expand.picks import slice_axis

Array = np.ndarray[Any, np.dtype[Any]]
Taps = tuple[Array, Array]  # the rows that each new row is made of and their weights, both [rows, taps]
F = np.float32


@dataclass(frozen=True)
class Axis:
    """One axis that is resized: its extents and their ratio, and the part of it that is seen, 0 to 1 for all."""

    old: int
    new: int
    scale: float
    begin: float = 0.0
    end: float = 1.0

    def origins(self, mode: str, number: type[np.floating[Any]] = np.float64) -> Array:
        """Where the new rows lie among the old ones, computed in float64, or with every step in `number`."""
        n: Any = number
        one, half, scale = n(1), n(0.5), n(self.scale)
        new: Array = np.arange(self.new, dtype=n)
        pixel: Array = (new + half) / scale - half
        if mode == "pytorch_half_pixel":
            return pixel if self.new > 1 else np.zeros(1, n)
        if mode == "align_corners":
            pixel = new * n(self.old - 1) / n(self.new - 1) if self.new > 1 else np.zeros(1, n)
        if mode == "asymmetric":
            pixel = new / scale
        if mode == "half_pixel_symmetric":
            offset = n(self.old) / n(2) * (one - n(self.new) / (scale * n(self.old)))
            pixel = offset + (new + half) / scale - half
        if mode == "tf_half_pixel_for_nn":
            pixel = (new + half) / scale
        if mode == "tf_crop_and_resize":
            begin, end, last = n(self.begin), n(self.end), n(self.old - 1)
            if self.new == 1:
                return np.array([half * (begin + end) * last], n)
            pixel = begin * last + new * ((end - begin) * last / n(self.new - 1))
        return pixel


ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_ceil": lambda x: np.floor(x + F(0.5)),
    "round_prefer_floor": lambda x: np.ceil(x - F(0.5)),
}


def resize(call: Call, builder: NodeBuilder) -> bool:
    """Resize to a constant size."""
    axes = _axes(call)
    return axes is not None and _write(call, builder, axes, call.options.get("mode", b"nearest").decode())


def upsample(call: Call, builder: NodeBuilder) -> bool:
    """Upsample by constant factors, which measures from the corner."""
    scales, mode = call.constant(1), call.options.get("mode", b"nearest").decode()
    if scales is None:
        return False
    shape = call.shape()
    sizes = [int(np.floor(F(extent) * F(scale))) for extent, scale in zip(shape, scales, strict=True)]
    axes = {axis: Axis(old, sizes[axis], float(scales[axis])) for axis, old in enumerate(shape)}
    return _write(call, builder, axes, mode, "asymmetric", "floor")


def _axes(call: Call) -> dict[int, Axis] | None:
    """The axes that are named, None where a size is computed in the step."""
    shape, options = call.shape(), call.options
    regions, scales, sizes = (call.constant(place) for place in (1, 2, 3))
    if (scales is None or not scales.size) and (sizes is None or not sizes.size):
        return None
    chosen = [int(axis) % len(shape) for axis in options.get("axes", range(len(shape)))]
    old = [shape[axis] for axis in chosen]
    if sizes is not None and sizes.size:
        ratios = [float(size) / extent for size, extent in zip(sizes, old, strict=True)]
        policy, new = options.get("keep_aspect_ratio_policy", b"stretch").decode(), sizes.tolist()
        if policy != "stretch":
            ratio = min(ratios) if policy == "not_larger" else max(ratios)
            ratios = [ratio] * len(old)
            new = [int(np.floor(F(extent) * F(ratio) + F(0.5))) for extent in old]
    else:
        assert scales is not None
        ratios = [float(scale) for scale in scales]
        new = [int(np.floor(F(extent) * F(ratio))) for extent, ratio in zip(old, ratios, strict=True)]
    if options.get("coordinate_transformation_mode", b"half_pixel") != b"tf_crop_and_resize":
        return {axis: Axis(*item) for axis, item in zip(chosen, zip(old, new, ratios, strict=True), strict=True)}
    if regions is None:
        return None
    begins, ends = np.split(regions, 2)
    numbers = zip(old, new, ratios, begins.tolist(), ends.tolist(), strict=True)
    return {axis: Axis(*item) for axis, item in zip(chosen, numbers, strict=True)}


def _write(
    call: Call,
    builder: NodeBuilder,
    axes: dict[int, Axis],
    mode: str,
    transformation: str = "",
    rounding: str = "",
) -> bool:
    """Write the resizing axis by axis."""
    options, dtype = call.options, call.dtype()
    transformation = transformation or options.get("coordinate_transformation_mode", b"half_pixel").decode()
    rounding = rounding or options.get("nearest_mode", b"round_prefer_floor").decode()
    value, outside, shape = call.input(0), [], list(call.shape())
    converts = dtype != np.float32 and mode != "nearest"
    value = builder.op("Cast", [value], to=onnx.TensorProto.FLOAT) if converts else value
    for number, axis in axes.items():
        # Which row is nearest, and which lies outside, as ONNX Runtime has it.
        decided = axis.origins(transformation, F)
        shape[number] = axis.new
        if transformation == "tf_crop_and_resize":
            beyond = (decided < 0) | (decided > axis.old - 1)
            outside.append(beyond.reshape([-1 if place == number else 1 for place in range(len(call.shape()))]))
        if axis.old == axis.new and np.array_equal(decided, np.arange(axis.old)):
            continue
        if mode == "nearest":
            rows = np.clip(ROUNDINGS[rounding](decided), 0, axis.old - 1).astype(np.int64)
            value = builder.op("Gather", [value, builder.constant(rows, np.int64, "rows")], axis=number)
        else:
            taps = _taps(axis, axis.origins(transformation), mode, options)
            value = _weighted(builder, value, number, shape, taps)
    if converts:  # to an integer without its fraction, as ONNX Runtime does
        value = builder.op("Cast", [value], to=helper.np_dtype_to_tensor_dtype(dtype))
    _finish(call, builder, value, outside)
    return True


def _finish(call: Call, builder: NodeBuilder, value: str, outside: list[Array]) -> None:
    """Put the extrapolation value where the part that is seen leaves the image."""
    beyond: Array = np.array(False)
    for item in outside:
        beyond = beyond | item
    if beyond.any():
        number = builder.constant(call.options.get("extrapolation_value", 0.0), call.dtype())
        builder.op("Where", [builder.constant(beyond, np.bool_), number, value], call.output(0))
    else:
        builder.op("Identity", [value], call.output(0))


def _weighted(builder: NodeBuilder, value: str, axis: int, shape: Sequence[int], taps: Taps) -> str:
    """The sum, in the order of the taps, of the rows that they name times their weights; `shape` is that of the result.

    The rows of all taps are gathered at once and lie one block after the other.
    """
    rows, weights = taps
    count, blocks = rows.shape[0], [*shape[:axis], rows.size, *shape[axis + 1 :]]
    gathered = builder.op("Gather", [value, builder.constant(rows.T.reshape(-1), np.int64, "rows")], axis=axis)
    gathered, total = stored(builder, gathered, blocks), ""
    along = [-1 if place == axis else 1 for place in range(len(shape))]
    for tap, weight in enumerate(weights.T):
        block = slice_axis(builder, gathered, axis, tap * count, (tap + 1) * count)
        part = builder.op("Mul", [block, builder.constant(weight.reshape(along), np.float32, "weights")])
        total = builder.op("Add", [total, part]) if total else part
    return stored(builder, total, shape)


def _taps(axis: Axis, origins: Array, mode: str, options: Mapping[str, Any]) -> Taps:
    """The rows and weights, computed in float64; they are rounded once, where they are stored."""
    a = float(options.get("cubic_coeff_a", -0.75))
    if options.get("antialias", 0) and axis.scale < 1:
        return _antialiased(axis, origins, mode, options, a)
    if mode == "linear":
        place = np.clip(origins, 0, axis.old - 1)
        first = place.astype(np.int64)
        second = np.minimum(first + 1, axis.old - 1)
        behind = np.where(first == second, 0.5, place - first)
        return np.stack([first, second], 1), np.stack([1 - behind, behind], 1)
    rows = np.floor(origins).astype(np.int64)[:, None] + np.arange(-1, 3)
    return _inside(axis, rows, _cubic(np.abs(origins[:, None] - rows), a), options)


def _antialiased(axis: Axis, origins: Array, mode: str, options: Mapping[str, Any], a: float) -> Taps:
    """A filter as wide as the new rows are apart, with weights that add up to 1."""
    reach = (1 if mode == "linear" else 2) / axis.scale
    centres = origins + 0.5
    first = np.floor(centres - reach + 0.5).astype(np.int64)
    last = np.floor(centres + reach + 0.5).astype(np.int64)
    rows = first[:, None] + np.arange((last - first).max())
    distances = np.abs((rows - centres[:, None] + 0.5) * axis.scale)
    weights = np.maximum(0, 1 - distances) if mode == "linear" else _cubic(distances, a)
    weights = np.where(rows < last[:, None], weights, 0)
    return _inside(axis, rows, weights / weights.sum(1, keepdims=True), options)


def _inside(axis: Axis, rows: Array, weights: Array, options: Mapping[str, Any]) -> Taps:
    """What lies outside is the row at the border, or nothing with `exclude_outside`."""
    if options.get("exclude_outside", 0):
        weights = np.where((rows >= 0) & (rows < axis.old), weights, 0)
        weights = weights / weights.sum(1, keepdims=True)
    return np.clip(rows, 0, axis.old - 1), weights


def _cubic(distance: Array, a: float) -> Array:
    """Keys' cubic convolution kernel at distances from 0."""
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = (((distance - 5) * distance + 8) * distance - 4) * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))


RULES: dict[str, Rule] = {"Resize": resize, "Upsample": upsample}
