"""A step graph with exp and tanh in it: its numbers are on no grid, so only the forced rule compares it."""

from __future__ import annotations

import numpy as np
from onnx import helper

from astroedge.step.graph import StepGraph
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from tests.support import graphs


def gru(inputs: int = 40, width: int = 70) -> StepGraph:
    """A gated recurrent unit on real numbers: dense matrices, stored the other way round."""
    rng = np.random.default_rng(4)
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, inputs), "float32"),),
        outputs=(TensorSpec("y", (1, width), "float32"),),
        states=(StateSpec("h", (1, width), "float32"),),
    )
    nodes, constants = [], {"one": np.float32(1)}
    for gate in "zrn":
        constants[f"W_{gate}"] = rng.normal(0, inputs**-0.5, (width, inputs)).astype(np.float32)
        constants[f"U_{gate}"] = rng.normal(0, width**-0.5, (width, width)).astype(np.float32)
        constants[f"b_{gate}"] = rng.normal(0, 0.1, width).astype(np.float32)
        nodes.append(helper.make_node("Gemm", ["x", f"W_{gate}", f"b_{gate}"], [f"x_{gate}"], transB=1))
    for gate in "zr":
        nodes.append(helper.make_node("Gemm", ["state.h", f"U_{gate}", f"x_{gate}"], [f"a_{gate}"], transB=1))
        nodes.append(helper.make_node("Sigmoid", [f"a_{gate}"], [gate]))
    nodes += [
        helper.make_node("Mul", ["r", "state.h"], ["reset"]),
        helper.make_node("Gemm", ["reset", "U_n", "x_n"], ["a_n"], transB=1),
        helper.make_node("Tanh", ["a_n"], ["n"]),
        helper.make_node("Sub", ["state.h", "n"], ["d"]),
        helper.make_node("Mul", ["z", "d"], ["kept"]),
        helper.make_node("Add", ["n", "kept"], ["y"]),
        helper.make_node("Identity", ["y"], ["next.h"]),
    ]
    return graphs.build("gru", spec, nodes, constants)
