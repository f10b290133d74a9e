"""Norms beside what the importer makes of them give what ONNX Runtime gives."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from astroedge.errors import UnsupportedOpError
from tests.support.builds import build
from tests.support.node_lists import compare, step_of_nodes

RNG = np.random.default_rng(3)
X = RNG.normal(size=(2, 3, 4, 5)).astype(np.float32)
X[0, 0] = 0


def _positive(*shape: int) -> np.ndarray:
    return np.abs(RNG.normal(size=shape)).astype(np.float32) + 0.1


def test_norms_give_all_their_results() -> None:
    """Mean and deviation of layer norms over one to all axes; lengths and sums of sizes, of zeros too."""
    nodes = []
    for axis in range(4):
        stored = [f"g{axis}", f"b{axis}"]
        outputs = [f"y{axis}", f"y_mean{axis}", f"y_deviation{axis}"]
        nodes.append(helper.make_node("LayerNormalization", ["x", *stored], outputs, axis=axis, epsilon=1e-3))
    nodes += [
        helper.make_node("LayerNormalization", ["x", "g2"], ["y_scaled"], axis=-2),
        helper.make_node("LpNormalization", ["x"], ["y_length"], axis=1),
        helper.make_node("LpNormalization", ["x"], ["y_sum"], p=1),
        helper.make_node("GroupNormalization", ["six", "s6", "s6"], ["y_groups"], num_groups=3),
        helper.make_node("InstanceNormalization", ["x", "s3", "s3"], ["y_instance"]),
        helper.make_node("LRN", ["x"], ["y_response"], size=3, alpha=0.1, beta=0.6),
    ]
    shapes = {axis: X.shape[axis:] for axis in range(4)}
    stored = {f"{name}{axis}": _positive(*shape) for axis, shape in shapes.items() for name in "gb"}
    inputs = {"x": X, "six": RNG.normal(size=(2, 6, 3)).astype(np.float32)}
    nodes += [helper.make_node("RMSNormalization", ["x", f"g{axis}"], [f"y_rms{axis}"], axis=axis) for axis in range(4)]
    compare(nodes, inputs, {**stored, "s3": _positive(3), "s6": _positive(6)}, opset=23)


def test_norm_that_learns_is_refused_by_name() -> None:
    """BatchNormalization with training_mode is an error that says so."""
    node = helper.make_node("BatchNormalization", ["x", *["s"] * 4], ["y", "", ""], training_mode=1)
    with pytest.raises(UnsupportedOpError, match="BatchNormalization with training_mode"):
        build(step_of_nodes([node], {"x": X}, {"s": _positive(3)}, {"y": X}))
