"""Losses of class numbers give what ONNX Runtime gives."""

from __future__ import annotations

import numpy as np
from onnx import helper

from tests.support.node_lists import compare

RNG = np.random.default_rng(3)
INPUTS = {
    "x": RNG.normal(size=(2, 5, 3, 2)).astype(np.float32),
    "classes": RNG.integers(0, 5, (2, 3, 2)),
    "row": RNG.normal(size=(3, 5)).astype(np.float32),
    "many": RNG.normal(size=(3, 5, 6, 70)).astype(np.float32),
    "number": np.array([4, 0, 2], np.int32),
}
CONSTANTS = {"w": np.abs(RNG.normal(size=5)).astype(np.float32)}


def test_losses_of_every_form() -> None:
    """Alone, summed and as a mean; weighted, with a class that does not count, with the logarithms as a result."""
    nodes = []
    for reduction in ("none", "sum", "mean"):
        for kind, weights, ignored in (
            ("NegativeLogLikelihoodLoss", "w", {"ignore_index": 1}),
            ("SoftmaxCrossEntropyLoss", "w", {}),
            ("SoftmaxCrossEntropyLoss", "", {"ignore_index": 1}),
        ):
            name = f"y_{kind}_{reduction}_{weights}"
            nodes.append(helper.make_node(kind, ["x", "classes", weights], [name], reduction=reduction, **ignored))
    nodes += [
        helper.make_node("SoftmaxCrossEntropyLoss", ["row", "number"], ["y_row", "y_logarithms"]),
        helper.make_node("NegativeLogLikelihoodLoss", ["row", "number"], ["y_negative"], ignore_index=-3),
    ]
    nodes.append(helper.make_node("LogSoftmax", ["many"], ["y_many"], axis=1))
    compare(nodes, INPUTS, CONSTANTS)
