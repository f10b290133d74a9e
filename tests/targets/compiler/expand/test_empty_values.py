"""Values without elements inside a step cost nothing and change nothing."""

from __future__ import annotations

import numpy as np
from onnx import helper

from tests.support.node_lists import compare

X = np.random.default_rng(3).normal(size=(2, 3, 4)).astype(np.float32)
NUMBERS = {"zero": 0, "one": 1, "axis": 1, "first": 0}
CONSTANTS = {
    **{name: np.array([number]) for name, number in NUMBERS.items()},
    "sizes": np.array([3, 0]), "cache": np.zeros((1, 2, 0, 4), np.float32), "nowhere": np.zeros((0, 1), np.int64),
    "half": np.array([0.5], np.float32),
}  # fmt: skip


def test_what_has_no_elements_is_known_beforehand() -> None:
    """A part cut to nothing is joined, reduced, split off, written nowhere, and attended to as an empty cache.

    A product over no elements is left out: ONNX Runtime leaves it as it finds its memory.
    """
    cut = [helper.make_node("Slice", ["x", "zero", "zero", "axis"], ["cut"])]
    joins = [
        helper.make_node("Concat", ["cut", "x"], ["y_one_part"], axis=1),
        helper.make_node("Concat", ["x", "cut", "x"], ["y_two_parts"], axis=1),
        helper.make_node("Neg", ["cut"], ["negative"]),
        helper.make_node("Add", ["negative", "half"], ["moved"]),
        helper.make_node("Concat", ["moved", "x"], ["y_computed"], axis=1),
        helper.make_node("Split", ["x", "sizes"], ["y_whole", "rest"], axis=1),
        helper.make_node("Concat", ["rest", "y_whole"], ["y_joined"], axis=1),
    ]
    reductions = [
        helper.make_node(kind, ["cut", "axis"], [f"y_{kind}"])
        for kind in ("ReduceSum", "ReduceProd", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare")
    ]
    reductions += [
        helper.make_node("Sub", ["x", "y_ReduceSum"], ["y_after"]),
        helper.make_node("Size", ["cut"], ["y_size"]),
    ]
    others = [
        helper.make_node("Gather", ["x", "first"], ["y_row"], axis=0),
        helper.make_node("Slice", ["y_row", "zero", "zero", "first"], ["no_row"]),
        helper.make_node("ScatterND", ["x", "nowhere", "none"], ["y_unwritten"]),
        helper.make_node("Reshape", ["x", "heads"], ["query"]),
        helper.make_node("Attention", ["query", "query", "query", "", "cache", "cache"], ["y_mix", "y_key", "y_value"]),
    ]
    constants = {
        **CONSTANTS, "none": np.zeros((0, 3, 4), np.float32), "heads": np.array([1, 2, 3, 4]),
    }  # fmt: skip
    compare([*cut, *joins, *reductions, *others], {"x": X}, constants, opset=23)
