"""Layer norm, softmax and its logarithm."""

from __future__ import annotations

from math import prod

from tvm import relax

from astroedge.errors import CompileError
from astroedge.targets.compiler.lower.lowerings.relax_calls import as_dtype, call_kernel, float_dtype, shape_of
from astroedge.targets.kernels.reduce import layer_norm, log_softmax, softmax

SOFTMAXES = {"softmax": softmax, "log_softmax": log_softmax}


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
    """nn.softmax or nn.log_softmax over one axis, which is moved last first and back afterwards."""
    shape = shape_of(call.args[0])
    axis = int(call.attrs.axis) % len(shape)
    dtype = float_dtype("A softmax", call.args)
    operand = as_dtype(builder, call.args[0], "float32")
    order = [*(place for place in range(len(shape)) if place != axis), axis]
    moved = order != list(range(len(shape)))
    if moved:
        operand, shape = builder.emit(relax.op.permute_dims(operand, order)), tuple(shape[place] for place in order)
    name = call.op.name.removeprefix("relax.nn.")
    function = SOFTMAXES[name](prod(shape[:-1]), shape[-1])
    result = call_kernel(builder, function, name, [operand], shape, "float32")
    if moved:
        result = relax.op.permute_dims(builder.emit(result), [order.index(place) for place in range(len(shape))])
    return as_dtype(builder, result, dtype)


LOWERINGS = {
    "relax.nn.layer_norm": lower_layer_norm,
    **{f"relax.nn.{name}": lower_softmax for name in SOFTMAXES},
}
