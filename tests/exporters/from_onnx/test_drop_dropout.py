"""Dropout outside training is no random operator."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

import astroedge
from astroedge.errors import UnsupportedOpError
from astroedge.runtimes.checking.reference import ReferenceSession
from tests.support.foreign_onnx import model_of, value

STORED = {"half": np.float32(0.5), "zero": np.float32(0), "no": np.array(False), "yes": np.array(True)}


@pytest.mark.parametrize("operands", [["half"], ["half", "no"], ["", "no"], ["zero", "yes"]])
def test_dropout_that_drops_nothing_is_its_operand(operands: list[str]) -> None:
    """Outside training, or at a ratio of 0, the values pass and the mask is True."""
    node = helper.make_node("Dropout", ["sum", *operands], ["h2", "mask"])
    add = helper.make_node("Add", ["x", "h"], ["sum"])
    outputs = [value(name, [2, 3]) for name in ("h2", "y")] + [value("mask", [2, 3], TensorProto.BOOL)]
    model = model_of(
        [add, node, helper.make_node("Identity", ["h2"], ["y"])],
        [value("x", [2, 3]), value("h", [2, 3])],
        outputs,
        **STORED,
    )
    graph = astroedge.export_onnx(model, {"h": "h2"})
    assert all(node.op_type != "Dropout" for node in graph.model.graph.node)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    reference = ReferenceSession(graph)
    for tick in (1, 2):
        given = reference.step(x=x)
        assert given["mask"].all()
        np.testing.assert_array_equal(given["y"], tick * x)


def test_dropout_in_training_is_refused() -> None:
    """Random numbers decide: an error that names the operator."""
    nodes = [helper.make_node("Add", ["x", "h"], ["sum"]), helper.make_node("Dropout", ["sum", "half", "yes"], ["h2"])]
    model = model_of(nodes, [value("x", [2]), value("h", [2])], [value("h2", [2])], **STORED)
    with pytest.raises(UnsupportedOpError, match="uses Dropout"):
        astroedge.export_onnx(model, {"h": "h2"})
