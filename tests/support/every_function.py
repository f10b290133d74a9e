"""A step of every function that has an exact form, for float32 numbers of every exponent."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, helper

from astroedge.step.graph import StepGraph
from astroedge.step.spec import StepSpec, TensorSpec
from tests.support import graphs
from tests.support.kernels.true_math import samples

UNARY = (
    *("Exp", "Log", "Tanh", "Sigmoid", "Erf", "Sin", "Cos", "Sqrt", "Reciprocal", "Softplus", "Elu", "Mish"),
    *("Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Round"),
)
POWERS = (2.0, -2.0, 0.5, 2.7)
WIDTH = 4096


def every_function() -> StepGraph:
    """y.<name> = function(x) for each; y.quotient = x / d; y.rsqrt = 1 / √x; y.remainder of x / d; y.power.<n> = xⁿ."""
    nodes: list[NodeProto] = [helper.make_node(name, ["x"], [f"y.{name}"]) for name in UNARY]
    nodes += [helper.make_node("Pow", ["x", f"power.{index}"], [f"y.power.{index}"]) for index in range(len(POWERS))]
    nodes += [
        helper.make_node("Div", ["x", "d"], ["y.quotient"]),
        helper.make_node("Div", ["one", "y.Sqrt"], ["y.rsqrt"]),
        helper.make_node("Mod", ["x", "d"], ["y.remainder"], fmod=1),
    ]
    constants: graphs.Constants = {f"power.{index}": np.float32(power) for index, power in enumerate(POWERS)}
    constants["one"] = np.float32(1)
    names = [node.output[0] for node in nodes]
    spec = StepSpec(
        inputs=tuple(TensorSpec(name, (1, WIDTH), "float32") for name in ("x", "d")),
        outputs=tuple(TensorSpec(name, (1, WIDTH), "float32") for name in names),
        states=(),
    )
    return graphs.build("every_function", spec, nodes, constants)


def function_inputs(mantissas: int = 128) -> dict[str, np.ndarray]:
    """`samples`, without NaNs, which no step takes, as ticks; the divisors are the same in another order."""
    drawn = samples(mantissas)
    drawn = drawn[~np.isnan(drawn)]
    drawn = np.concatenate([drawn, np.ones(-len(drawn) % WIDTH, np.float32)])
    divisors = np.random.default_rng(5).permutation(drawn)
    return {"x": drawn.reshape(-1, 1, WIDTH), "d": divisors.reshape(-1, 1, WIDTH)}
