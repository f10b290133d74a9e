"""Layer norm and softmax."""

from __future__ import annotations

from math import prod

from tvm import relax

from astroedge.errors import CompileError
from astroedge.targets.compiler.lower.lowerings.relax_calls import as_dtype, call_kernel, float_dtype, shape_of
from astroedge.targets.kernels.reduce import layer_norm, softmax


def lower_layer_norm(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """nn.layer_norm over the last axes."""
    shape = shape_of(call.args[0])
    axes = sorted(int(axis) % len(shape) for axis in call.attrs.axes)
    if axes != list(range(axes[0], len(shape))):
        raise CompileError(f"A layer norm over the axes {axes} of {shape} has no kernel; normalise over the last axes.")
    width = prod(shape[axes[0] :])
    dtype = float_dtype("A layer norm", call.args)
    operands = [as_dtype(builder, operand, "float32") for operand in call.args]
    function = layer_norm(prod(shape) // width, width, float(call.attrs.epsilon))
    return as_dtype(builder, call_kernel(builder, function, "layer_norm", operands, shape, "float32"), dtype)


def lower_softmax(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """nn.softmax over the last axis."""
    shape = shape_of(call.args[0])
    if int(call.attrs.axis) % len(shape) != len(shape) - 1:
        raise CompileError(f"A softmax over axis {call.attrs.axis} of {shape} has no kernel; use the last axis.")
    dtype = float_dtype("A softmax", call.args)
    operand = as_dtype(builder, call.args[0], "float32")
    function = softmax(prod(shape[:-1]), shape[-1])
    return as_dtype(builder, call_kernel(builder, function, "softmax", [operand], shape, "float32"), dtype)


LOWERINGS = {"relax.nn.layer_norm": lower_layer_norm, "relax.nn.softmax": lower_softmax}
