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
from astroedge.targets.compiler.expand.quantising import FLOAT, INT32, round_to_integers

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
    _rescale(call, builder, sums, factor, _as_float(builder, _beside(call, builder, 7)))
    return True


def qlinear_conv(call: Call, builder: NodeBuilder) -> bool:
    """Sums of a ConvInteger and the bias, each times x_scale · w_scale / y_scale, rounded and moved."""
    sums = _sums(call, builder, (0, 2), (3, 5))
    axes = len(call.shape(0)) - 2
    if call.input(8):
        sums = builder.op("Add", [sums, _reshaped(builder, call.input(8), (-1, *[1] * axes))])
    scales = [_reshaped(builder, call.input(1), ()), call.input(4), _reshaped(builder, call.input(6), ())]
    scales[1] = _reshaped(builder, scales[1], () if np.prod(call.shape(4)) == 1 else (-1, *[1] * axes))
    zero = _as_float(builder, _reshaped(builder, call.input(7), ()))
    _rescale(call, builder, sums, _factor(builder, *scales), zero)
    return True


def conv_integer(call: Call, builder: NodeBuilder) -> bool:
    """The int32 sums of a convolution, padded with the zero point."""
    builder.op("Identity", [_sums(call, builder, (0, 2), (1, 3))], call.output(0))
    return True


def _rescale(call: Call, builder: NodeBuilder, sums: str, factor: str, zero: str) -> None:
    scaled = builder.op("Mul", [builder.op("Cast", [sums], to=FLOAT), factor])
    round_to_integers(builder, scaled, zero, call.dtype(7), call.output(0))


def _factor(builder: NodeBuilder, left: str, right: str, result: str) -> str:
    return builder.op("Div", [builder.op("Mul", [left, right]), result])


def _beside(call: Call, builder: NodeBuilder, position: int) -> str:
    """A scale or zero point of a matrix product: one for all, one for each column of b, or one for each row of a or y."""
    shape = call.shape(position)
    if np.prod(shape) == 1:
        return _reshaped(builder, call.input(position), ())
    by_row = len(shape) == 1 and position not in OF_B
    return _reshaped(builder, call.input(position), (-1, 1)) if by_row else call.input(position)


def _reshaped(builder: NodeBuilder, name: str, shape: tuple[int, ...]) -> str:
    return builder.op("Reshape", [name, builder.constant(shape, np.int64, "shape")])


def _as_float(builder: NodeBuilder, name: str) -> str:
    return builder.op("Cast", [name], to=FLOAT)


def _sums(call: Call, builder: NodeBuilder, images: tuple[int, int], weights: tuple[int, int]) -> str:
    """The int32 sums of a convolution; each pair is an operand and its zero point."""
    x = _difference(call, builder, images, ())
    options = {name: call.options[name] for name in ATTRIBUTES if name in call.options}
    kernel = _stored_kernel(call, weights)
    if kernel is None:
        w = _difference(call, builder, weights, (-1, *[1] * (len(call.shape(weights[0])) - 1)))
        kernel = np.full(call.shape(weights[0]), float(FURTHEST), np.float32)
        pieces = list(_pieces(kernel, _furthest(call, images)))
        parts = [_sliced(builder, w, first, end) if len(pieces) > 1 else w for first, end in pieces]
    else:
        pieces = list(_pieces(kernel, _furthest(call, images)))
        parts = [builder.constant(kernel[:, first:end], np.float32, "kernel") for first, end in pieces]
    total = ""
    for (first, end), part in zip(pieces, parts, strict=True):
        data = x if len(pieces) == 1 else _channels(builder, x, kernel.shape[1], options.get("group", 1), first, end)
        sums = builder.op("Cast", [builder.op("Conv", [data, part], **options)], to=INT32)
        total = builder.op("Add", [total, sums]) if total else sums
    return total


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
