"""Norms: what layer norm gives beside its result, and norms that TVM has no importer for."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from astroedge.step.node_builder import NodeBuilder
from astroedge.targets.compiler.expand.expansion import Call, Rule, refuse
from astroedge.targets.compiler.expand.forms import reduced, reshaped


def layer_norm(call: Call, builder: NodeBuilder) -> bool:
    """The mean and 1 / sqrt(variance + epsilon), by operators of their own beside the layer norm."""
    if not call.output(1) and not call.output(2):
        return False
    axis, rank = int(call.options.get("axis", -1)), len(call.shape())
    axes = list(range(axis % rank, rank))
    if call.output(0):
        builder.op("LayerNormalization", list(call.node.input), call.output(0), **call.options)
    x = call.input(0)
    if call.dtype() != np.float32:
        x = builder.op("Cast", [x], to=TensorProto.FLOAT)
    mean = reduced(call, builder, "ReduceMean", x, axes, output=call.output(1))
    if call.output(2):
        difference = builder.op("Sub", [x, mean])
        variance = reduced(call, builder, "ReduceMean", builder.op("Mul", [difference, difference]), axes)
        epsilon = builder.constant(call.options.get("epsilon", 1e-5), np.float32, "epsilon")
        deviation = builder.op("Sqrt", [builder.op("Add", [variance, epsilon])])
        builder.op("Div", [builder.constant(1, np.float32, "one"), deviation], call.output(2))
    return True


def lp_normalization(call: Call, builder: NodeBuilder) -> bool:
    """Every vector along an axis divided by its sum of sizes or its length; one of zeros stays."""
    kind = "ReduceL1" if call.options.get("p", 2) == 1 else "ReduceL2"
    size = reduced(call, builder, kind, call.input(0), [int(call.options.get("axis", -1))])
    zero, one = (builder.constant(number, call.dtype(), "number") for number in (0, 1))
    divisor = builder.op("Where", [builder.op("Equal", [size, zero]), one, size])
    builder.op("Div", [call.input(0), divisor], call.output(0))
    return True


def rms_norm(call: Call, builder: NodeBuilder) -> bool:
    """RMSNormalization of all elements as that of one row, because TVM has no number for its scale."""
    shape = call.shape()
    if int(call.options.get("axis", -1)) % len(shape):
        return False
    row = reshaped(builder, call.input(0), (1, *shape))
    normalised = builder.op("RMSNormalization", [row, call.input(1)], **{**call.options, "axis": 1})
    reshaped(builder, normalised, shape, call.output(0))
    return True


def batch_norm(call: Call, builder: NodeBuilder) -> bool:
    """Left to the importer in inference; in training it would learn from its data, which no step does."""
    if call.options.get("training_mode", 0):
        refuse(call, "training_mode")
    return False


RULES: dict[str, Rule] = {
    "BatchNormalization": batch_norm,
    "LayerNormalization": layer_norm,
    "LpNormalization": lp_normalization,
    "RMSNormalization": rms_norm,
}
