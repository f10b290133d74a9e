"""A ConvTranspose as one convolution whose channels are the places between two elements of the image.

With a stride of s an element of the image lies at every s-th place of the result. The places with one remainder are
each a convolution of the image with every s-th tap of the kernel; all remainders together are one convolution of s
times as many channels, which the transposition after it puts side by side. No product with the zeros in between is
computed, the sums have the order of any other convolution, and zeros of the image stay zeros that can be skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod

import numpy as np
from numpy.typing import NDArray

from astroedge.step.node_builder import NodeBuilder
from astroedge.targets.compiler.expand.expansion import Call, Rule

Weights = NDArray[np.floating]


@dataclass(frozen=True)
class _Axis:
    """One axis of the image: sizes of image and result, stride, taps with dilation, and what is cut off before."""

    extent: int
    result: int
    stride: int
    taps: int
    before: int

    @property
    def window(self) -> int:
        """How many elements of the image a place of the result reads."""
        return ceil(self.taps / self.stride)

    @property
    def first(self) -> int:
        """The first group of `stride` places that is computed."""
        return self.before // self.stride

    @property
    def groups(self) -> int:
        """How many groups are computed."""
        return ceil((self.before + self.result) / self.stride) - self.first

    @property
    def padding(self) -> tuple[int, int]:
        """Elements beside the image, or cut off it where negative."""
        return self.window - 1 - self.first, self.first + self.groups - self.extent


def transposed_convolution(call: Call, builder: NodeBuilder) -> bool:
    """ConvTranspose of an image and a constant kernel of any number of axes."""
    kernel = call.constant(1)
    if kernel is None or call.input(0) not in call.types.shapes:
        return False
    axes = _axes(call, kernel.shape[2:])
    group = call.options.get("group", 1)
    dilations = call.options.get("dilations", [1] * len(axes))
    weights = builder.constant(_phases(kernel, group, dilations, axes), kernel.dtype, "weight")
    strides = [axis.stride for axis in axes]
    image, padding = _cut_image(call.input(0), axes, builder)
    outputs = group * kernel.shape[1]
    pads = [max(0, side) for ends in zip(*padding, strict=True) for side in ends]
    bias = [call.input(2)] if call.input(2) else []
    if prod(strides) > 1 and bias:
        bias = [_repeated(call, prod(strides), builder)]
    rest = [axis.before - axis.first * axis.stride for axis in axes]
    whole = prod(strides) == 1
    result = builder.op("Conv", [image, weights, *bias], call.output(0) if whole else None, group=group, pads=pads)
    if not whole:
        _interleave(result, (call.shape()[0], outputs), axes, rest, call.output(0), builder)
    return True


def _axes(call: Call, kernel: Sequence[int]) -> list[_Axis]:
    """The axes of the image, with the padding that ONNX's document computes from what is given."""
    options, image = call.options, call.shape()[2:]
    count = len(image)
    strides, dilations, further = (
        options.get(name, [usual] * count) for name, usual in (("strides", 1), ("dilations", 1), ("output_padding", 0))
    )
    taps = [(extent - 1) * dilation + 1 for extent, dilation in zip(kernel, dilations, strict=True)]
    whole = [
        stride * (extent - 1) + tap + extra
        for stride, extent, tap, extra in zip(strides, image, taps, further, strict=True)
    ]
    mode = options.get("auto_pad", b"NOTSET").decode()
    wanted = list(options.get("output_shape", []))[-count:]
    if not wanted and mode.startswith("SAME"):
        wanted = [extent * stride for extent, stride in zip(image, strides, strict=True)]
    if wanted:
        totals = [max(0, full - result) for full, result in zip(whole, wanted, strict=True)]
        before = [total // 2 if mode == "SAME_UPPER" else total - total // 2 for total in totals]
    else:
        pads = options.get("pads", [0] * 2 * count) if mode == "NOTSET" else [0] * 2 * count
        before = pads[:count]
        wanted = [full - sum(ends) for full, *ends in zip(whole, before, pads[count:], strict=True)]
    return [_Axis(*sizes) for sizes in zip(image, wanted, strides, taps, before, strict=True)]


def _phases(kernel: Weights, group: int, dilations: Sequence[int], axes: Sequence[_Axis]) -> Weights:
    """The kernel [inputs, outputs of a group, …] as one of a convolution, [outputs × places, inputs of a group, …]."""
    inputs, outputs = kernel.shape[:2]
    spread = np.zeros((inputs, outputs, *(axis.window * axis.stride for axis in axes)), kernel.dtype)
    taps = tuple(slice(0, axis.taps, dilation) for axis, dilation in zip(axes, dilations, strict=True))
    spread[(slice(None), slice(None), *taps)] = kernel
    split = [extent for axis in axes for extent in (axis.window, axis.stride)]
    spread = spread.reshape(group, inputs // group, outputs, *split)
    spread = np.flip(spread, tuple(range(3, spread.ndim, 2)))
    order = [0, 2, *range(4, spread.ndim, 2), 1, *range(3, spread.ndim, 2)]
    places = prod(axis.stride for axis in axes)
    windows = (axis.window for axis in axes)
    return spread.transpose(order).reshape(group * outputs * places, inputs // group, *windows)


def _cut_image(image: str, axes: Sequence[_Axis], builder: NodeBuilder) -> tuple[str, list[tuple[int, int]]]:
    """The image without the elements that no wanted place reads, and the padding of each axis."""
    padding = [axis.padding for axis in axes]
    starts = [max(0, -begin) for begin, _ in padding]
    ends = [axis.extent - max(0, -end) for axis, (_, end) in zip(axes, padding, strict=True)]
    if any(starts) or ends != [axis.extent for axis in axes]:
        bounds = (builder.constant(values, np.int64) for values in (starts, ends, range(2, 2 + len(axes))))
        image = builder.op("Slice", [image, *bounds])
    return image, padding


def _repeated(call: Call, places: int, builder: NodeBuilder) -> str:
    """The bias of every output at each of its places."""
    stored = call.constant(2)
    if stored is not None:
        return builder.constant(np.repeat(stored, places), stored.dtype, "bias")
    column = builder.op("Reshape", [call.input(2), builder.constant([-1, 1], np.int64)])
    wide = builder.op("Expand", [column, builder.constant([1, places], np.int64)])
    return builder.op("Reshape", [wide, builder.constant([-1], np.int64)])


def _interleave(
    result: str, kept: tuple[int, int], axes: Sequence[_Axis], rest: Sequence[int], output: str, builder: NodeBuilder
) -> None:
    """Put the places of each group side by side, and cut off what is not wanted at either end."""
    count = len(axes)
    strides, groups = [axis.stride for axis in axes], [axis.groups for axis in axes]
    apart = builder.op("Reshape", [result, builder.constant([*kept, *strides, *groups], np.int64)])
    order = [0, 1, *(place for axis in range(count) for place in (2 + count + axis, 2 + axis))]
    beside = builder.op("Transpose", [apart], perm=order)
    sizes = [extent * stride for extent, stride in zip(groups, strides, strict=True)]
    exact = sizes == [axis.result for axis in axes]
    joined = builder.op("Reshape", [beside, builder.constant([*kept, *sizes], np.int64)], output if exact else None)
    if not exact:
        ends = [start + axis.result for start, axis in zip(rest, axes, strict=True)]
        bounds = (builder.constant(values, np.int64) for values in (rest, ends, range(2, 2 + count)))
        builder.op("Slice", [joined, *bounds], output)


RULES: dict[str, Rule] = {"ConvTranspose": transposed_convolution}
