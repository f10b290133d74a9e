"""Relax convolutions as descriptions that kernels are chosen from."""

from __future__ import annotations

from dataclasses import dataclass

import tvm
from tvm import relax

from astroedge.step.operators import relax_operators
from astroedge.step.sparsity import Sparsity
from astroedge.targets.kernels.convolutions.convolution import Convolution

CONVOLUTIONS = relax_operators(lambda row: row.name == "Conv")


@dataclass(frozen=True)
class ConvolutionProduct:
    """A convolution with constant weights, as the graph has it; one along a single axis has images of height 1."""

    name: str
    shape: Convolution
    sparsity: Sparsity | None


def read_convolution(call: relax.Call) -> Convolution | None:
    """What a call convolves; None for what has no kernel here: other operators, computed weights, other layouts."""
    if not isinstance(call.op, tvm.ir.Op) or call.op.name not in CONVOLUTIONS:
        return None
    images, weights = call.args
    attributes = call.attrs
    planar = call.op.name == "relax.nn.conv2d"
    layouts = ("NCHW", "OIHW", "NCHW") if planar else ("NCW", "OIW", "NCW")
    dtypes = {str(operand.ty.dtype.dtype) for operand in call.args}
    if (attributes.data_layout, attributes.kernel_layout, attributes.out_layout) != layouts:
        return None
    if not isinstance(weights, tvm.ir.GenericConst) or dtypes not in ({"float32"}, {"float16"}):
        return None
    image, kernel = ([int(extent) for extent in operand.ty.shape] for operand in (images, weights))
    padding = [int(value) for value in attributes.padding]
    if not planar:
        image.insert(2, 1)
        kernel.insert(2, 1)
        padding = [0, padding[0], 0, padding[1]]
    strides, dilation = ([int(value) for value in values] for values in (attributes.strides, attributes.dilation))
    strides = [strides[0] if planar else 1, strides[-1]]
    if kernel[2:] == [1, 1] and strides == [1, 1] and not any(padding):
        image[2:] = [1, image[2] * image[3]]  # each pixel alone: rows mean nothing, and long ones are faster
    return Convolution(
        batch=image[0],
        channels=image[1],
        height=image[2],
        width=image[3],
        outputs=kernel[0],
        kernel=(kernel[2], kernel[3]),
        strides=(strides[0], strides[1]),
        padding=(padding[0], padding[1], padding[2], padding[3]),
        dilation=(dilation[0] if planar else 1, dilation[-1]),
        groups=int(attributes.groups),
    )
