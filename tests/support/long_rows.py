"""Forms of operators in which one thread of a GPU would go through a long row."""

from __future__ import annotations

from typing import Any

import numpy as np

from astroedge.step.graph import StepGraph
from tests.support.node_forms import node, step_of_nodes

LONG = 9000
VECTOR, IMAGE = np.ones((1, LONG), np.float32), np.ones((1, 2, 90, 100), np.float32)
FORMS: dict[str, tuple[tuple[Any, ...], dict[str, np.ndarray]]] = {
    **{name: (node(name, "x", kernel_shape=[90, 100]), {"x": IMAGE}) for name in ("AveragePool", "MaxPool")},
    **{name: (node(name, "x", np.array(1)), {"x": VECTOR}) for name in ("CumProd", "CumSum")},
    "Col2Im": (node("Col2Im", "x", np.array([32, 32]), np.array([3, 3])), {"x": np.ones((1, 9, 900), np.float32)}),
    "Einsum": (node("Einsum", "x", "x", equation="ij,ij->i"), {"x": VECTOR}),
    "GroupNormalization": (
        node("GroupNormalization", "x", np.ones(2, np.float32), np.ones(2, np.float32), num_groups=1),
        {"x": IMAGE},
    ),
    "InstanceNormalization": (
        node("InstanceNormalization", "x", np.ones(2, np.float32), np.ones(2, np.float32)),
        {"x": IMAGE},
    ),
    "MaxRoiPool": (
        node("MaxRoiPool", "x", np.array([[0, 0, 0, 99, 89]], np.float32), pooled_shape=[1, 1]),
        {"x": IMAGE},
    ),
    "MaxUnpool": (
        node("MaxUnpool", "x", np.arange(2025).reshape(1, 1, 45, 45), kernel_shape=[2, 2], strides=[2, 2]),
        {"x": np.ones((1, 1, 45, 45), np.float32)},
    ),
    "ReduceProd": (node("ReduceProd", "x", np.array([1])), {"x": VECTOR}),
    "RMSNormalization": (node("RMSNormalization", "x", np.ones(LONG, np.float32)), {"x": VECTOR}),
    "ScatterElements": (
        node("ScatterElements", "x", "i", "x", axis=1),
        {"x": VECTOR, "i": np.zeros((1, LONG), np.int64)},
    ),
    "ScatterND": (
        node("ScatterND", "x", "i", "u"),
        {"x": VECTOR.ravel(), "i": np.zeros((LONG, 1), np.int64), "u": VECTOR.ravel()},
    ),
    "TopK": (node("TopK", "x", np.array([5]), outputs=2), {"x": VECTOR}),
}
"""By operator: the call and what it is fed with."""

OPSETS = {"CumProd": 26, "RMSNormalization": 23}


def step_of_long_rows(operator: str) -> StepGraph:
    """The step of an operator's long form alone."""
    call, feeds = FORMS[operator]
    return step_of_nodes([call], feeds, OPSETS.get(operator, 21))
