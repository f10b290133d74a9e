"""QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear as the arithmetic that defines them.

Each operation is rounded once, to float32, in ONNX Runtime's order: x / scale, to the nearest integer (the even one of
two), plus the zero point, kept inside the integer's range; and (q − zero point) · scale. So the integers are ONNX
Runtime's. What depends on constants alone, a quantised weight above all, is computed here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from astroedge.errors import UnsupportedOpError
from astroedge.step.node_builder import NodeBuilder
from astroedge.step.operators import made_by
from astroedge.targets.compiler.expand.expansion import Call, Rule

FLOAT, INT32, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT32, onnx.TensorProto.INT64
CARRIED = ("int8", "uint8", "int16", "uint16", "int32")
"""The integers that a step computes with; narrower ones and 8-bit floats are stored constants only."""
LEVELS = 255.0  # steps between the least and the greatest uint8
Array = np.ndarray[Any, np.dtype[Any]]


def quantize_linear(call: Call, builder: NodeBuilder) -> bool:
    """Per tensor, along an axis or in blocks, to int8, uint8, int16 or uint16; TVM imports float32 without blocks."""
    dtype = _quantised_dtype(call)
    if dtype.name not in CARRIED:
        raise _no_kernel(call, f"quantises to {dtype.name}")
    if call.dtype() == call.dtype(1) == np.float32 and not _block(call):
        return False
    quotient = builder.op("Div", [as_float(call, builder, 0), spread(call, builder, 1)])
    if not call.input(2) or np.prod(call.shape(2)) == 1:
        zero = builder.op("Reshape", [call.input(2), _shape(builder, ())]) if call.input(2) else None
        round_to_integers(builder, quotient, zero, dtype, call.output(0))
    else:
        moved = builder.op("Add", [builder.op("Round", [quotient]), spread(call, builder, 2)])
        round_to_integers(builder, moved, None, dtype, call.output(0))
    return True


def dequantize_linear(call: Call, builder: NodeBuilder) -> bool:
    """Per tensor, along an axis or in blocks; a stored operand of any type becomes the floats it stands for.

    TVM imports others, if they become float32 and have no blocks.
    """
    wanted = call.options.get("output_dtype", 0)
    dtype = helper.tensor_dtype_to_np_dtype(wanted) if wanted else call.dtype(1)
    constants = [call.constant(place) for place in range(3 if call.input(2) else 2)]
    if all(constant is not None for constant in constants):
        stored = dequantised(call, *(constant for constant in constants if constant is not None))
        builder.constants.append(numpy_helper.from_array(stored.astype(dtype), call.output(0)))
        return True
    if call.dtype().name not in CARRIED:
        raise _no_kernel(call, f"dequantises {call.dtype().name}, which is no stored constant,")
    if call.dtype(1) == dtype == np.float32 and not _block(call):
        return False
    value = call.input(0)
    if call.input(2):
        zero = spread(call, builder, 2, np.dtype(np.int32))
        value = builder.op("Sub", [builder.op("Cast", [value], to=INT32), zero])
    value = builder.op("Cast", [value], to=FLOAT)
    product = builder.op("Mul", [value, spread(call, builder, 1)])
    builder.op("Cast", [product], call.output(0), to=helper.np_dtype_to_tensor_dtype(dtype))
    return True


def dynamic_quantize_linear(call: Call, builder: NodeBuilder) -> bool:
    """To uint8, with the scale and zero point that let the values of this tick and 0 fill the range."""
    x, nought = call.input(0), builder.constant(0.0, np.float32, "nought")
    low = builder.op("Min", [builder.op("ReduceMin", [x], keepdims=0), nought])
    high = builder.op("Max", [builder.op("ReduceMax", [x], keepdims=0), nought])
    span = builder.op("Div", [builder.op("Sub", [high, low]), builder.constant(LEVELS, np.float32, "levels")])
    silent = builder.op("Equal", [high, low])
    scale = builder.op("Where", [silent, builder.constant(1.0, np.float32, "one"), span], call.output(1) or None)
    below = builder.op("Sub", [nought, builder.op("Div", [low, scale])])
    zero = round_to_integers(builder, below, None, np.dtype(np.uint8), call.output(2) or None)
    builder.op("QuantizeLinear", [x, scale, zero], call.output(0))
    return True


def round_to_integers(
    builder: NodeBuilder, value: str, zero: str | None, dtype: np.dtype[Any], output: str | None
) -> str:
    """Write a float32 `value` rounded to the nearest integer, plus `zero` of `dtype`, inside the range of that.

    Returns the name of the result.
    """
    one = builder.constant(1.0, np.float32, "one")
    return builder.op("QuantizeLinear", [value, one, zero or builder.constant(0, dtype, "zero")], output)


def as_float(call: Call, builder: NodeBuilder, position: int) -> str:
    """An operand in float32."""
    name = call.input(position)
    return name if call.dtype(position) == np.float32 else builder.op("Cast", [name], to=FLOAT)


def spread(call: Call, builder: NodeBuilder, position: int, dtype: np.dtype[Any] = np.dtype(np.float32)) -> str:  # noqa: B008
    """A scale or a zero point so that it is broadcast over operand 0, in `dtype`."""
    shape, extents = call.shape(position), call.shape()
    constant = call.constant(position)
    if constant is not None:
        return builder.constant(_spread(call, constant.astype(dtype)), dtype, "scale" if position == 1 else "zero")
    name = call.input(position)
    if call.dtype(position) != dtype:
        name = builder.op("Cast", [name], to=helper.np_dtype_to_tensor_dtype(dtype))
    axis = _axis(call)
    if len(shape) == len(extents) and _block(call):
        return builder.op("Gather", [name, builder.constant(_blocks(call), np.int64, "blocks")], axis=axis)
    wanted = _beside(shape, extents, axis)
    return builder.op("Reshape", [name, _shape(builder, wanted)]) if wanted != shape else name


def _shape(builder: NodeBuilder, extents: tuple[int, ...]) -> str:
    return builder.constant(extents, np.int64, "shape")


def dequantised(call: Call, values: Array, scale: Array, zero: Array | None = None) -> Array:
    """The float32 numbers that stored ones stand for: each difference from the zero point times its scale."""
    kind = np.int32 if values.dtype.kind in "iu" or "int" in values.dtype.name else np.float32
    numbers = values.astype(kind)
    if zero is not None:
        numbers = numbers - _spread(call, zero.astype(kind))
    product: Array = numbers.astype(np.float32) * _spread(call, scale.astype(np.float32))
    return product


def _spread(call: Call, constant: Array) -> Array:
    """The same for a stored one."""
    if constant.ndim == len(call.shape()) and _block(call):
        return np.take(constant, _blocks(call), axis=_axis(call))
    return constant.reshape(_beside(constant.shape, call.shape(), _axis(call)))


def _beside(shape: tuple[int, ...], extents: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """The shape in which one number for all, or one for each index of an axis, is broadcast over `extents`."""
    if shape in ((), (1,)):
        return ()
    return tuple(extent if place == axis else 1 for place, extent in enumerate(extents))


def _axis(call: Call) -> int:
    rank = len(call.shape())
    return int(call.options.get("axis", 1)) % rank if rank > 1 else 0


def _block(call: Call) -> int:
    return int(call.options.get("block_size", 0))


def _blocks(call: Call) -> Array:
    """The block of each index of the axis."""
    return np.arange(call.shape()[_axis(call)]) // _block(call)


def _quantised_dtype(call: Call) -> np.dtype[Any]:
    wanted = call.options.get("output_dtype", 0)
    if wanted:
        return helper.tensor_dtype_to_np_dtype(wanted)
    return call.dtype(2) if call.input(2) else np.dtype(np.uint8)


def _no_kernel(call: Call, what: str) -> UnsupportedOpError:
    return UnsupportedOpError(
        f"{made_by([call.node])} uses {call.node.op_type}, which {what} and has no kernel; a step computes with "
        f"{', '.join(CARRIED)}. Quantise to 8 bits, or store the numbers as constants."
    )


RULES: dict[str, Rule] = {
    "QuantizeLinear": quantize_linear,
    "DequantizeLinear": dequantize_linear,
    "DynamicQuantizeLinear": dynamic_quantize_linear,
}
