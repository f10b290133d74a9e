"""A ScatterND to known rows becomes a choice with the same values; any other stays as it is."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from astroedge.targets.compiler.expand.expand_operators import expand_operators

DATA = np.arange(12, dtype=np.float32).reshape(4, 3)
UPDATES = -np.arange(1, 7, dtype=np.float32).reshape(2, 3)


def _model(indices: np.ndarray, *, given: bool = False, **attributes: str) -> onnx.ModelProto:
    node = helper.make_node("ScatterND", ["data", "indices", "updates"], ["y"], **attributes)
    inputs = [helper.make_tensor_value_info("data", TensorProto.FLOAT, DATA.shape)]
    inputs += [helper.make_tensor_value_info("updates", TensorProto.FLOAT, UPDATES.shape)]
    if given:
        inputs.append(helper.make_tensor_value_info("indices", TensorProto.INT64, indices.shape))
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, DATA.shape)
    constants = [] if given else [numpy_helper.from_array(indices, "indices")]
    graph = helper.make_graph([node], "scatter", inputs, [output], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def _run(model: onnx.ModelProto) -> np.ndarray:
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"data": DATA, "updates": UPDATES})[0])


@pytest.mark.parametrize("rows", [[0, 1], [3, 1], [-1, -4]])
def test_known_rows_are_chosen(rows: list[int]) -> None:
    """Rows in any order, counted from either end, get the values that ScatterND gives them."""
    model = _model(np.array(rows)[:, None])
    expected = _run(model)
    expand_operators(model)
    assert [node.op_type for node in model.graph.node] == ["Gather", "Where"]
    np.testing.assert_array_equal(_run(model), expected)
    assert (expected[rows] == UPDATES).all()


def test_other_scatters_stay() -> None:
    """Sums, rows known only in the step, and single elements are not choices between rows."""
    rows = np.array([[0], [1]])
    for model in (_model(rows, reduction="add"), _model(rows, given=True), _model(np.array([[0, 1], [1, 1]]))):
        expand_operators(model)
        assert [node.op_type for node in model.graph.node] == ["ScatterND"]
