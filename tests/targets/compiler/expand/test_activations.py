"""Activations give what ONNX Runtime gives, at infinities and large numbers too."""

from __future__ import annotations

import numpy as np
from onnx import helper

from tests.support.node_lists import compare

X = np.array([0, -0.0, 0.3, -0.3, 1, -1, 2.5, -7, 100, -100, np.inf, -np.inf], np.float32)


def test_activations_at_every_size() -> None:
    """Celu, Mish, Swish, ThresholdedRelu, Shrink, both Gelus, PRelu with slopes of all shapes; IsInf of one sign."""
    finite = [
        helper.make_node("Celu", ["f"], ["y_celu"], alpha=2.0),
        helper.make_node("Mish", ["f"], ["y_mish"]),
        helper.make_node("Swish", ["f"], ["y_swish"], alpha=1.5),
        helper.make_node("Gelu", ["f"], ["y_gelu"]),
        helper.make_node("Gelu", ["f"], ["y_tanh_gelu"], approximate="tanh"),
        helper.make_node("HardSwish", ["f"], ["y_hard"]),
        helper.make_node("PRelu", ["f", "rows"], ["y_rows"]),
        helper.make_node("PRelu", ["f", "one"], ["y_one"]),
    ]
    infinite = [
        helper.make_node("ThresholdedRelu", ["x"], ["y_threshold"], alpha=0.5),
        helper.make_node("Shrink", ["x"], ["y_shrink"], lambd=0.4, bias=0.1),
        helper.make_node("IsInf", ["x"], ["y_infinite"]),
        helper.make_node("IsInf", ["x"], ["y_positive"], detect_negative=0),
        helper.make_node("IsInf", ["x"], ["y_negative"], detect_positive=0),
        helper.make_node("IsInf", ["x"], ["y_neither"], detect_negative=0, detect_positive=0),
    ]
    f = X[:10].reshape(2, 5)
    stored = {"rows": np.array([[0.1], [0.2]], np.float32), "one": np.array([0.3], np.float32)}
    compare([*finite, *infinite], {"x": X, "f": f}, stored, opset=24)
