"""Operators that choose, move or mark elements, whose places are known or follow from one index each."""

from __future__ import annotations

from itertools import pairwise
from math import ceil

import numpy as np
from onnx import helper

from astroedge.step.node_builder import NodeBuilder
from astroedge.targets.compiler.expand.expansion import Call, Rule


def one_hot(call: Call, builder: NodeBuilder) -> bool:
    """OneHot: an index compared with the numbers of the new axis, those from the end included.

    Between two numbers an index of floats is none of them.
    """
    depth = call.constant(1)
    if depth is None:
        return False
    count = int(depth.reshape(-1)[0])
    rank = len(call.shape()) + 1
    axis = int(call.options.get("axis", -1)) % rank
    places = np.arange(count).reshape([-1 if place == axis else 1 for place in range(rank)])
    dtype = call.dtype() if call.dtype().kind == "f" else np.dtype(np.int64)
    index = call.input(0)
    if call.dtype() != dtype:
        index = builder.op("Cast", [index], to=helper.np_dtype_to_tensor_dtype(dtype))
    index = builder.op("Unsqueeze", [index, builder.constant([axis], np.int64)])
    found = [builder.op("Equal", [index, builder.constant(item, dtype)]) for item in (places, places - count)]
    off, on = (builder.op("Gather", [call.input(2), builder.constant(place, np.int64)]) for place in (0, 1))
    builder.op("Where", [builder.op("Or", found), on, off], call.output(0))
    return True


def split(call: Call, builder: NodeBuilder) -> bool:
    """Split as one Slice a piece; sizes that are not given are equal, but for the last."""
    if call.input(0) not in call.types.shapes or (call.input(1) and call.constant(1) is None):
        return False
    axis = int(call.options.get("axis", 0)) % len(call.shape())
    extent, pieces = call.shape()[axis], len(call.node.output)
    sizes = call.constant(1)
    if sizes is None:
        each = ceil(extent / int(call.options.get("num_outputs", pieces)))
        bounds = [min(extent, each * place) for place in range(pieces + 1)]
    else:
        bounds = [0, *np.cumsum(sizes).tolist()]
    for (start, end), name in zip(pairwise(bounds), call.node.output, strict=True):
        if name:
            slice_axis(builder, call.input(0), axis, start, end, name)
    return True


def slice_axis(builder: NodeBuilder, value: str, axis: int, start: int, end: int, output: str | None = None) -> str:
    """The elements start ≤ place < end of one axis."""
    limits = [builder.constant([number], np.int64) for number in (start, end, axis)]
    return builder.op("Slice", [value, *limits], output)


def reverse_sequence(call: Call, builder: NodeBuilder) -> bool:
    """ReverseSequence: element t of a sequence of length n comes from n − 1 − t, where t < n."""
    shape, time, batch = call.shape(), int(call.options.get("time_axis", 0)), int(call.options.get("batch_axis", 1))
    along = [1] * len(shape)
    along[batch] = shape[batch]
    lengths = builder.op("Reshape", [call.input(1), builder.constant(along, np.int64)])
    numbers = np.arange(shape[time]).reshape([-1 if axis == time else 1 for axis in range(len(shape))])
    places = builder.constant(numbers, np.int64)
    last = builder.op("Sub", [lengths, builder.constant(1, np.int64)])
    reverse = builder.op("Sub", [last, places])
    source = builder.op("Where", [builder.op("Less", [places, lengths]), reverse, places])
    full = builder.op("Expand", [source, builder.constant(shape, np.int64)])
    builder.op("GatherElements", [call.input(0), full], call.output(0), axis=time)
    return True


def center_crop_pad(call: Call, builder: NodeBuilder) -> bool:
    """CenterCropPad to a constant size: a Slice and a Pad."""
    wanted = call.constant(1)
    if wanted is None:
        return False
    shape = call.shape()
    axes = [int(axis) % len(shape) for axis in call.options.get("axes", range(len(shape)))]
    value, before, after = call.input(0), [0] * len(shape), [0] * len(shape)
    for axis, size in zip(axes, wanted.tolist(), strict=True):
        if size < shape[axis]:
            start = (shape[axis] - size) // 2
            value = slice_axis(builder, value, axis, start, start + size)
        before[axis] = max(0, size - shape[axis]) // 2
        after[axis] = max(0, size - shape[axis]) - before[axis]
    builder.op("Pad", [value, builder.constant([*before, *after], np.int64)], call.output(0))
    return True


def pad(call: Call, builder: NodeBuilder) -> bool:
    """Pad by elements of the tensor itself, as rows gathered on each axis; Pad that cuts or has a computed value."""
    pads, axes = call.constant(1), call.constant(3)
    if pads is None or (call.input(3) and axes is None):
        return False
    shape = call.shape()
    chosen = range(len(shape)) if axes is None else [int(axis) % len(shape) for axis in axes]
    amounts = {axis: (int(pads[place]), int(pads[place + len(chosen)])) for place, axis in enumerate(chosen)}
    mode = call.options.get("mode", b"constant").decode()
    computed = bool(call.input(2)) and call.constant(2) is None
    if mode != "constant":
        _pad_by_own_elements(call, builder, amounts, mode)
    elif computed or pads.min(initial=0) < 0:
        _pad_by_a_number(call, builder, amounts, computed)
    else:
        return False
    return True


def _pad_by_own_elements(call: Call, builder: NodeBuilder, amounts: dict[int, tuple[int, int]], mode: str) -> None:
    value = call.input(0)
    for axis, (before, after) in amounts.items():
        if before or after:
            places = np.arange(call.shape()[axis])[max(0, -before) : call.shape()[axis] - max(0, -after)]
            places = np.pad(places, (max(0, before), max(0, after)), mode=mode)  # type: ignore[call-overload]
            value = builder.op("Gather", [value, builder.constant(places, np.int64)], axis=axis)
    builder.op("Identity", [value], call.output(0))


def _pad_by_a_number(call: Call, builder: NodeBuilder, amounts: dict[int, tuple[int, int]], computed: bool) -> None:
    value, shape = call.input(0), list(call.shape())
    before, after = [0] * len(shape), [0] * len(shape)
    for axis, (first, last) in amounts.items():
        if first < 0 or last < 0:
            start, end = max(0, -first), shape[axis] - max(0, -last)
            value = slice_axis(builder, value, axis, start, end)
            shape[axis] = end - start
        before[axis], after[axis] = max(0, first), max(0, last)
    fill = [] if computed or not call.input(2) else [call.input(2)]
    padded = builder.op("Pad", [value, builder.constant([*before, *after], np.int64), *fill])
    if not computed:
        builder.op("Identity", [padded], call.output(0))
        return
    inside = np.pad(np.ones(shape, bool), list(zip(before, after, strict=True)))
    number = builder.op("Reshape", [call.input(2), builder.constant([], np.int64)])
    builder.op("Where", [builder.constant(inside, np.bool_), padded, number], call.output(0))


def shape(call: Call, builder: NodeBuilder) -> bool:
    """Shape and Size of a tensor of fixed shape: a constant."""
    if call.input(0) not in call.types.shapes:
        return False
    extents = call.shape()
    if call.node.op_type == "Size":
        value = np.array(np.prod(extents, dtype=np.int64))
    else:
        value = np.array(extents[call.options.get("start", 0) : call.options.get("end", len(extents))])
    builder.op("Identity", [builder.constant(value, np.int64)], call.output(0))
    return True


def one_axis(call: Call, builder: NodeBuilder) -> bool:
    """Unsqueeze or Squeeze of an axis that is written as a number, where ONNX wants a list."""
    axes = call.constant(1)
    if axes is None or axes.ndim:
        return False
    builder.op(call.node.op_type, [call.input(0), builder.constant([int(axes)], np.int64)], call.output(0))
    return True


def eye_like(call: Call, builder: NodeBuilder) -> bool:
    """EyeLike: a constant."""
    wanted = call.options.get("dtype")
    dtype = call.dtype() if wanted is None else helper.tensor_dtype_to_np_dtype(wanted)
    rows, columns = call.shape()
    ones = np.eye(rows, columns, k=int(call.options.get("k", 0)))
    builder.op("Identity", [builder.constant(ones, dtype)], call.output(0))
    return True


RULES: dict[str, Rule] = {
    "CenterCropPad": center_crop_pad,
    "EyeLike": eye_like,
    "OneHot": one_hot,
    "Pad": pad,
    "ReverseSequence": reverse_sequence,
    "Shape": shape,
    "Size": shape,
    "Split": split,
    "Squeeze": one_axis,
    "Unsqueeze": one_axis,
}
