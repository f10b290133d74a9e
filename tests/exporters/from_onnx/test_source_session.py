"""Somebody's ONNX graph in ONNX Runtime: batch axes, and graphs that it does not run."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from astroedge.errors import UnsupportedOpError
from astroedge.exporters.export_onnx import export_onnx
from tests.support.foreign_onnx import model_of, value


def layered(batch: int | str) -> onnx.ModelProto:
    """A leaky state that has its streams along axis 1, and one that adds up what all streams see."""
    nodes = [
        helper.make_node("Mul", ["h", "decay"], ["kept"]),
        helper.make_node("Add", ["kept", "x"], ["h_out"]),
        helper.make_node("ReduceSum", ["x"], ["seen"], keepdims=0),
        helper.make_node("Add", ["total", "seen"], ["total_out"]),
        helper.make_node("ReduceSum", ["h_out", "layers"], ["y"], keepdims=0),
    ]
    return model_of(
        nodes,
        [value("x", [batch, 3]), value("h", [2, batch, 3]), value("total", [])],
        [value("y", [batch, 3]), value("h_out", [2, batch, 3]), value("total_out", [])],
        decay=np.float32([[[0.5]], [[0.25]]]),
        layers=np.array([0], np.int64),
    )


@pytest.mark.parametrize("batch", [1, 2])
def test_batch_axis_is_found_where_sizes_are_open(batch: int) -> None:
    """The graph is run with more streams, if its sizes allow it; a state that streams share has no batch axis."""
    pairs = {"h": "h_out", "total": "total_out"}
    found = export_onnx(layered("n"), pairs, batch=batch, shapes={"h": (2, batch, 3)})
    assert {state.name: state.batch_axis for state in found.spec.states} == {"h": 1, "total": None}
    fixed = export_onnx(layered(batch), pairs)
    assert {state.name: state.batch_axis for state in fixed.spec.states} == {"h": None, "total": None}


def test_graph_that_onnx_runtime_does_not_run_is_refused() -> None:
    """Without the original there is nothing to compare the step with."""
    nodes = [
        helper.make_node("Add", ["x", "h"], ["h_out"]),
        helper.make_node("Cast", ["h_out"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("HardSigmoid", ["wide"], ["gate"]),  # which it has for float32 alone
        helper.make_node("Cast", ["gate"], ["y"], to=TensorProto.FLOAT),
    ]
    names = [value(name, [1, 3]) for name in ("x", "h", "y", "h_out")]
    model = model_of(nodes, names[:2], names[2:])
    with pytest.raises(UnsupportedOpError, match="ONNX Runtime does not run"):
        export_onnx(model, {"h": "h_out"})
