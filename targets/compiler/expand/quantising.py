"""QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear as the arithmetic that defines them.

Each operation is rounded once, to float32, in ONNX Runtime's order: x / scale, to the nearest integer (the even one of
two), plus the zero point, kept inside the integer's range; and (q − zero point) · scale. So the integers are ONNX
Runtime's. What depends on constants alone, a quantised weight above all, is computed here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import DTypeLike
from onnx import helper

from astroedge.errors import UnsupportedOpError
from astroedge.step.dequantise import beside, block_of, dequantised_tensor
from astroedge.step.dequantise import spread as arrange
from astroedge.step.node_builder import NodeBuilder
from astroedge.step.operators import made_by
from astroedge.targets.compiler.expand.expansion import Call, Rule

FLOAT, INT32, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT32, onnx.TensorProto.INT64
CARRIED = ("int8", "uint8", "int16", "uint16", "int32")
"""The integers that a step computes with; narrower ones and 8-bit floats are stored constants only."""
LEVELS = 255.0  # steps between the least and the greatest uint8


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
    tensor = dequantised_tensor(call.node, call.types, call.stored)
    if tensor is not None:
        builder.constants.append(tensor)
        return True
    if call.dtype().name not in CARRIED:
        raise _no_kernel(call, f"dequantises {call.dtype().name}, which is no stored constant,")
    if call.dtype(1) == dtype == np.float32 and not _block(call):
        return False
    value = call.input(0)
    if call.input(2):
        zero = spread(call, builder, 2, np.int32)
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


def spread(call: Call, builder: NodeBuilder, position: int, dtype: DTypeLike = np.float32) -> str:
    """A scale or a zero point so that it is broadcast over operand 0, in `dtype`."""
    shape, extents = call.shape(position), call.shape()
    axis, block = int(call.options.get("axis", 1)), _block(call)
    constant = call.constant(position)
    if constant is not None:
        constant = arrange(constant.astype(dtype), extents, axis, block)
        return builder.constant(constant, dtype, "scale" if position == 1 else "zero")
    name = call.input(position)
    if call.dtype(position) != dtype:
        name = builder.op("Cast", [name], to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
    if len(shape) == len(extents) and block:
        blocks = builder.constant(block_of(extents, axis, block), np.int64, "blocks")
        return builder.op("Gather", [name, blocks], axis=axis)
    wanted = beside(shape, extents, axis)
    return builder.op("Reshape", [name, _shape(builder, wanted)]) if wanted != shape else name


def _shape(builder: NodeBuilder, extents: tuple[int, ...]) -> str:
    return builder.constant(extents, np.int64, "shape")


def _block(call: Call) -> int:
    return int(call.options.get("block_size", 0))


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
