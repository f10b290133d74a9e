"""Activations that TVM has no importer for, or one that goes wrong at infinities."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from astroedge.step.node_builder import NodeBuilder
from astroedge.targets.compiler.expand.expansion import Call, Rule


def celu(call: Call, builder: NodeBuilder) -> bool:
    """alpha · Elu(x / alpha)."""
    alpha = builder.constant(call.options.get("alpha", 1.0), call.dtype(), "alpha")
    inner = builder.op("Elu", [builder.op("Div", [call.input(0), alpha])])
    builder.op("Mul", [inner, alpha], call.output(0))
    return True


def swish(call: Call, builder: NodeBuilder) -> bool:
    """x · Sigmoid(alpha · x)."""
    alpha = builder.constant(call.options.get("alpha", 1.0), call.dtype(), "alpha")
    gate = builder.op("Sigmoid", [builder.op("Mul", [call.input(0), alpha])])
    builder.op("Mul", [call.input(0), gate], call.output(0))
    return True


def thresholded_relu(call: Call, builder: NodeBuilder) -> bool:
    """x above alpha, else 0. TVM multiplies by the comparison, which makes NaN of −∞."""
    alpha = builder.constant(call.options.get("alpha", 1.0), call.dtype(), "alpha")
    above = builder.op("Greater", [call.input(0), alpha])
    builder.op("Where", [above, call.input(0), builder.constant(0, call.dtype(), "zero")], call.output(0))
    return True


def mish(call: Call, builder: NodeBuilder) -> bool:
    """x · tanh(softplus(x)), with the softplus that does not overflow."""
    soft = builder.op("Softplus", [call.input(0)])
    builder.op("Mul", [call.input(0), builder.op("Tanh", [soft])], call.output(0))
    return True


def is_infinite(call: Call, builder: NodeBuilder) -> bool:
    """IsInf of one sign alone, which TVM does not tell apart, as a comparison."""
    wanted = [bool(call.options.get(f"detect_{sign}", 1)) for sign in ("positive", "negative")]
    if all(wanted):
        return False
    limit = np.inf if wanted[0] else -np.inf if wanted[1] else np.nan  # nothing is equal to a NaN
    builder.op("Equal", [call.input(0), builder.constant(limit, call.dtype(), "infinity")], call.output(0))
    return True


def in_single(call: Call, builder: NodeBuilder) -> bool:
    """A float16 Elu or Selu in float32, because TVM's importer mixes the two."""
    if call.dtype() != np.float16:
        return False
    wide = builder.op("Cast", [call.input(0)], to=TensorProto.FLOAT)
    result = builder.op(call.node.op_type, [wide], **call.options)
    builder.op("Cast", [result], call.output(0), to=TensorProto.FLOAT16)
    return True


RULES: dict[str, Rule] = {
    "Celu": celu,
    "Elu": in_single,
    "IsInf": is_infinite,
    "Mish": mish,
    "Selu": in_single,
    "Swish": swish,
    "ThresholdedRelu": thresholded_relu,
}
