"""Deformable convolutions give what ONNX Runtime gives."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from astroedge.errors import UnsupportedOpError
from tests.support.builds import build
from tests.support.node_lists import compare, step_of_nodes

RNG = np.random.default_rng(4)


def _normal(*shape: int, scale: float = 1.0) -> np.ndarray:
    return (RNG.normal(size=shape) * scale).astype(np.float32)


INPUTS = {
    "x": _normal(2, 4, 7, 6),
    "near": _normal(2, 12, 6, 4, scale=2),
    "far": _normal(2, 24, 4, 3, scale=6),  # many samples lie outside
    "mask": np.abs(_normal(2, 12, 4, 3)),
    "kernel": _normal(3, 4, 2, 3),
}
CONSTANTS = {"w": _normal(3, 4, 2, 3), "halves": _normal(6, 2, 2, 3), "b": _normal(6)}


def test_samples_between_and_beside_pixels() -> None:
    """Groups of channels and of offsets, strides, distances, padding, a mask and a bias; a kernel that is computed."""
    wide = {"strides": [2, 2], "dilations": [2, 1], "pads": [1, 0, 1, 2], "offset_group": 2}
    nodes = [
        helper.make_node("DeformConv", ["x", "w", "near"], ["y"], pads=[0, 0, 0, 0], kernel_shape=[2, 3]),
        helper.make_node("DeformConv", ["x", "halves", "far", "b", "mask"], ["y_wide"], group=2, **wide),
        helper.make_node("DeformConv", ["x", "kernel", "near"], ["y_computed"]),
    ]
    compare(nodes, INPUTS, CONSTANTS, opset=19, tolerance=1e-5)


def test_volumes_are_refused_by_name() -> None:
    """A deformable convolution over three axes is an error that says so."""
    x, offsets = np.zeros((1, 1, 3, 3, 3), np.float32), np.zeros((1, 24, 2, 2, 2), np.float32)
    node = helper.make_node("DeformConv", ["x", "w", "o"], ["y"])
    stored = {"w": np.zeros((1, 1, 2, 2, 2), np.float32), "o": offsets}
    graph = step_of_nodes([node], {"x": x}, stored, {"y": np.zeros((1, 1, 2, 2, 2), np.float32)}, 19)
    with pytest.raises(UnsupportedOpError, match="DeformConv with 3 axes"):
        build(graph)
