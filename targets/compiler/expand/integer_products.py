"""Products and convolutions of 8-bit integers: int32 sums, and those scaled and rounded back to 8 bits.

A matrix product stays one of integers. A convolution becomes one of floats that are whole numbers: below 2²⁴ every sum
of them is exact, whatever its order, and one that could be larger is divided by channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from astroedge.step.node_builder import NodeBuilder
from astroedge.targets.compiler.expand.expansion import Call, Rule
from astroedge.targets.compiler.expand.quantising import FLOAT, INT32, INT64, round_to_integers

EXACT = 2**24  # whole numbers up to this one are float32 numbers
OF_B = (4, 5)  # operands of QLinearMatMul that belong to b
FURTHEST = 255  # of an 8-bit number from its zero point
ATTRIBUTES = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
Array = np.ndarray[Any, np.dtype[Any]]


def qlinear_matmul(call: Call, builder: NodeBuilder) -> bool:
    """Sums of a MatMulInteger, each times a_scale · b_scale / y_scale, rounded and moved by y's zero point."""
    a, _, a_zero, b, _, b_zero, _, _ = call.node.input
    sums = builder.op("MatMulInteger", [a, b, a_zero, b_zero])
    factor = _factor(builder, *(_beside(call, builder, place) for place in (1, 4, 6)))
    _rescale(call, builder, sums, factor, _beside(call, builder, 7))
    return True


def qlinear_conv(call: Call, builder: NodeBuilder) -> bool:
    """Sums of a ConvInteger and the bias, each times x_scale · w_scale / y_scale, rounded and moved."""
    sums = _sums(call, builder, (0, 2), (3, 5), 8)
    axes = len(call.shape(0)) - 2
    scales = [_reshaped(builder, call.input(place), ()) for place in (1, 6)]
    by_channel = _reshaped(builder, call.input(4), () if np.prod(call.shape(4)) == 1 else (-1, *[1] * axes))
    factor = _factor(builder, scales[0], by_channel, scales[1])
    _rescale(call, builder, sums, factor, _reshaped(builder, call.input(7), ()))
    return True


def conv_integer(call: Call, builder: NodeBuilder) -> bool:
    """The int32 sums of a convolution, padded with the zero point."""
    sums = _sums(call, builder, (0, 2), (1, 3), None)
    builder.op("Cast", [_as_integer(builder, sums)], call.output(0), to=INT32)
    return True


def _rescale(call: Call, builder: NodeBuilder, sums: str, factor: str, zero: str) -> None:
    scaled = builder.op("Mul", [_as_float(builder, sums), factor])
    round_to_integers(builder, scaled, zero, call.dtype(7), call.output(0))


def _factor(builder: NodeBuilder, *scales: str) -> str:
    """left · right / result, in float32."""
    left, right, result = (_as_float(builder, scale) for scale in scales)
    return builder.op("Div", [builder.op("Mul", [left, right]), result])


def _beside(call: Call, builder: NodeBuilder, position: int) -> str:
    """A scale or zero point of a matrix product: one for all, for each column of b, for each row of a or y."""
    shape = call.shape(position)
    if np.prod(shape) == 1:
        return _reshaped(builder, call.input(position), ())
    by_row = len(shape) == 1 and position not in OF_B
    return _reshaped(builder, call.input(position), (-1, 1)) if by_row else call.input(position)


def _reshaped(builder: NodeBuilder, name: str, shape: tuple[int, ...]) -> str:
    return builder.op("Reshape", [name, builder.constant(shape, np.int64, "shape")])


def _as_float(builder: NodeBuilder, name: str) -> str:
    return builder.op("Cast", [name], to=FLOAT)


def _sums(call: Call, builder: NodeBuilder, images: tuple[int, int], weights: tuple[int, int], bias: int | None) -> str:
    """The sums of a convolution and of the int32 bias at a position; each pair is an operand and its zero point.

    float32 where all of them are below 2²⁴, else int64.
    """
    x, furthest = _difference(call, builder, images, ()), _furthest(call, images)
    options = {name: call.options[name] for name in ATTRIBUTES if name in call.options}
    kernel = _stored_kernel(call, weights)
    bounds = np.full(call.shape(weights[0]), float(FURTHEST), np.float32) if kernel is None else kernel
    pieces = list(_pieces(bounds, furthest))
    computed = _difference(call, builder, weights, (-1, *[1] * (bounds.ndim - 1))) if kernel is None else ""
    sums = []
    for first, end in pieces:
        whole = len(pieces) == 1
        data = x if whole else _channels(builder, x, bounds.shape[1], options.get("group", 1), first, end)
        if kernel is not None:
            part = builder.constant(kernel[:, first:end], np.float32, "kernel")
        else:
            part = computed if whole else _sliced(builder, computed, first, end)
        sums.append(builder.op("Conv", [data, part], **options))
    added = _reshaped(builder, call.input(bias), (-1, *[1] * (bounds.ndim - 2))) if bias and call.input(bias) else ""
    largest = np.abs(bounds).reshape(len(bounds), -1).sum(axis=1, dtype=np.float64).max() * furthest
    largest += _largest_bias(call, bias) if added else 0
    if largest < EXACT:
        return builder.op("Add", [sums[0], _as_float(builder, added)]) if added else sums[0]
    total = _as_integer(builder, sums[0])
    for term in (*sums[1:], *([added] if added else [])):
        total = builder.op("Add", [total, _as_integer(builder, term)])
    return total


def _largest_bias(call: Call, position: int | None) -> float:
    stored = None if position is None else call.constant(position)
    return float(EXACT) if stored is None else float(np.abs(stored.astype(np.float64)).max())


def _as_integer(builder: NodeBuilder, name: str) -> str:
    return builder.op("Cast", [name], to=INT64)


def _difference(call: Call, builder: NodeBuilder, places: tuple[int, int], beside: tuple[int, ...]) -> str:
    """An operand minus its zero point, in float32; `beside` is the shape of one zero point for each output channel."""
    value, zero = _as_float(builder, call.input(places[0])), call.input(places[1])
    if not zero:
        return value
    shape = () if np.prod(call.shape(places[1])) == 1 else beside
    return builder.op("Sub", [value, _reshaped(builder, _as_float(builder, zero), shape)])


def _stored_kernel(call: Call, places: tuple[int, int]) -> Array | None:
    """Stored weights minus their zero points, as float32; None where either is computed."""
    kernel = call.constant(places[0])
    zero = call.constant(places[1]) if call.input(places[1]) else np.zeros((), np.float32)
    if kernel is None or zero is None:
        return None
    shape = () if zero.size == 1 else (-1, *[1] * (kernel.ndim - 1))
    difference: Array = kernel.astype(np.float32) - zero.astype(np.float32).reshape(shape)
    return difference


def _furthest(call: Call, places: tuple[int, int]) -> int:
    """How far an operand can lie from its zero point."""
    zero = call.constant(places[1]) if call.input(places[1]) else np.zeros((), np.int32)
    if zero is None:
        return FURTHEST
    limits, point = np.iinfo(call.dtype(places[0])), int(zero.reshape(-1)[0])
    return max(limits.max - point, point - limits.min)


def _pieces(kernel: Array, furthest: int) -> Iterator[tuple[int, int]]:
    """Runs (first, end) of input channels whose sums are exact in float32."""
    taps = np.abs(kernel).reshape(*kernel.shape[:2], -1).sum(axis=2, dtype=np.float64) * furthest
    first = 0
    while first < kernel.shape[1]:
        sums = np.cumsum(taps[:, first:], axis=1).max(axis=0)
        end = first + max(1, int(np.searchsorted(sums, EXACT, side="right")))
        yield first, end
        first = end


def _channels(builder: NodeBuilder, x: str, channels: int, groups: int, first: int, end: int) -> str:
    """The channels `first` to `end` of each group."""
    chosen = [group * channels + channel for group in range(groups) for channel in range(first, end)]
    return builder.op("Gather", [x, builder.constant(chosen, np.int64, "channels")], axis=1)


def _sliced(builder: NodeBuilder, kernel: str, first: int, end: int) -> str:
    return builder.op("Gather", [kernel, builder.constant(range(first, end), np.int64, "channels")], axis=1)


RULES: dict[str, Rule] = {"ConvInteger": conv_integer, "QLinearConv": qlinear_conv, "QLinearMatMul": qlinear_matmul}
