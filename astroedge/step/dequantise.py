"""What DequantizeLinear makes of stored numbers: (q − zero point) · scale, rounded once to float32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astroedge.host_package import require
from astroedge.step.graph_index import ValueTypes, attributes
from astroedge.step.tensor_data import array_of

if TYPE_CHECKING:
    import onnx
    from onnx import helper, numpy_helper
else:
    onnx = require("onnx", "reading a step graph")
    helper = require("onnx.helper", "reading a step graph")
    numpy_helper = require("onnx.numpy_helper", "reading a step graph")

DEQUANTISING = "DequantizeLinear"


def dequantised_tensor(
    node: onnx.NodeProto, types: ValueTypes, stored: Mapping[str, onnx.TensorProto]
) -> onnx.TensorProto | None:
    """The result of a DequantizeLinear whose operands are all stored; None where one is computed."""
    operands = [name for name in node.input if name]
    if any(name not in stored for name in operands):
        return None
    values, scale, *zeros = (array_of(stored[name]) for name in operands)
    options = attributes(node)
    wanted = options.get("output_dtype", 0) or types.elements[operands[1]]
    axis, block = options.get("axis", 1), options.get("block_size", 0)
    kind = np.int32 if "int" in values.dtype.name else np.float32
    numbers = values.astype(kind)
    for zero in zeros:
        numbers = numbers - spread(zero.astype(kind), values.shape, axis, block)
    product = numbers.astype(np.float32) * spread(scale.astype(np.float32), values.shape, axis, block)
    return numpy_helper.from_array(product.astype(helper.tensor_dtype_to_np_dtype(wanted)), node.output[0])


def spread(parameter: NDArray[Any], extents: tuple[int, ...], axis: int, block: int) -> NDArray[Any]:
    """A scale or zero point, of all elements, an axis or blocks of it, so that it is broadcast over `extents`."""
    if block and parameter.ndim == len(extents):
        return np.take(parameter, block_of(extents, axis, block), axis=axis)
    return parameter.reshape(beside(parameter.shape, extents, axis))


def beside(shape: tuple[int, ...], extents: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """The shape in which one number for all, or one for each index of an axis, is broadcast over `extents`."""
    if shape in ((), (1,)):
        return ()
    return tuple(extent if place == axis_of(extents, axis) else 1 for place, extent in enumerate(extents))


def axis_of(extents: tuple[int, ...], axis: int) -> int:
    """The axis as a place; a vector has one alone."""
    return axis % len(extents) if len(extents) > 1 else 0


def block_of(extents: tuple[int, ...], axis: int, block: int) -> NDArray[np.int64]:
    """The block that each index of the axis is in."""
    return np.arange(extents[axis_of(extents, axis)]) // block
