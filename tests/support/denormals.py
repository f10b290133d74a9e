"""A step whose numbers are too small for a normal float32: what processors may take for 0."""

from __future__ import annotations

import numpy as np
from onnx import helper

from astroedge.step.graph import StepGraph
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from tests.support import graphs

SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)
TICKS = 1100  # 0.9 to the power of 829 is no normal number any more; the last ones are four times the smallest there is
SPIKING = 5


def denormals() -> StepGraph:
    """A membrane that decays to nothing without input, and sums, products, an image and roots of denormal numbers."""
    rng = np.random.default_rng(4)
    small = (rng.standard_normal((300, 41)) * SMALLEST_NORMAL).astype(np.float32)
    kernel = (rng.standard_normal((6, 2, 3, 3)) * SMALLEST_NORMAL).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["spikes", "small"], ["current"]),
        helper.make_node("Mul", ["state.v", "decay"], ["kept"]),
        helper.make_node("Add", ["kept", "current"], ["next.v"]),
        helper.make_node("MatMul", ["x", "small"], ["sums"]),
        helper.make_node("Conv", ["image", "kernel"], ["pixels"], pads=[1, 1, 1, 1]),
        helper.make_node("Abs", ["next.v"], ["size"]),
        helper.make_node("Sqrt", ["size"], ["root"]),
        helper.make_node("Div", ["next.v", "decay"], ["grown"]),
        helper.make_node("Max", ["next.v", "sums"], ["larger"]),
        helper.make_node("ReduceSum", ["larger"], ["total"], keepdims=1),
    ]
    outputs = (
        *(TensorSpec(name, (1, 41), "float32") for name in ("sums", "root", "grown", "larger")),
        TensorSpec("pixels", (1, 6, 9, 9), "float32"),
        TensorSpec("total", (1, 1), "float32"),
    )
    inputs = (
        TensorSpec("spikes", (1, 300), "float32", firing_rate=0.1),
        TensorSpec("x", (1, 300), "float32"),
        TensorSpec("image", (1, 2, 9, 9), "float32"),
    )
    spec = StepSpec(inputs=inputs, outputs=outputs, states=(StateSpec("v", (1, 41), "float32", None, 1.0),))
    constants: graphs.Constants = {"small": small, "kernel": kernel, "decay": np.float32(0.9)}
    return graphs.build("denormals", spec, nodes, constants)


def small_numbers() -> dict[str, np.ndarray]:
    """Ticks of data; spikes come in the first few alone."""
    rng = np.random.default_rng(6)
    spikes = (rng.random((TICKS, 1, 300)) < 0.1).astype(np.float32)
    spikes[SPIKING:] = 0
    x, image = (rng.standard_normal((TICKS, *shape)).astype(np.float32) for shape in ((1, 300), (1, 2, 9, 9)))
    return {"spikes": spikes, "x": x, "image": image}
