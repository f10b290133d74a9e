"""Reductions of unusual forms give what ONNX Runtime gives."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from astroedge.errors import UnsupportedOpError
from tests.support.builds import build
from tests.support.node_lists import compare, step_of_nodes

RNG = np.random.default_rng(3)
INPUTS = {
    "x": np.abs(RNG.normal(size=(3, 4, 5))).astype(np.float32) - np.float32(0.1),
    "p": RNG.random((3, 4, 5)) < 0.3,
    "i": RNG.integers(-9, 9, (3, 4)).astype(np.int32),
}
CONSTANTS = {"none": np.zeros(0, np.int64), "one": np.array([1])}


def test_reductions_over_no_axis_and_of_booleans() -> None:
    """Every element alone where that is asked for, everything where not; the largest and smallest of Booleans."""
    kinds = ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare", "ReduceSum", "ReduceMax")
    nodes = [helper.make_node(kind, ["x", "none"], [f"y_{kind}"], noop_with_empty_axes=1) for kind in kinds]
    nodes += [helper.make_node(kind, ["x"], [f"y_all_{kind}"], keepdims=0) for kind in kinds]
    nodes += [helper.make_node(kind, ["p", "one"], [f"y_of_{kind}"]) for kind in ("ReduceMax", "ReduceMin")]
    compare(nodes, INPUTS, CONSTANTS, opset=20)


def test_root_of_integers_is_refused_by_name() -> None:
    """ReduceL2 of int32 is an error that says so."""
    node = helper.make_node("ReduceL2", ["i", "one"], ["y"])
    with pytest.raises(UnsupportedOpError, match="ReduceL2 with int32"):
        build(step_of_nodes([node], INPUTS, CONSTANTS, {"y": np.zeros((3, 1), np.int32)}))
