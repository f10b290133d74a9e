"""Choices between Booleans, for which ONNX Runtime has no kernel, become logic with the same values."""

from __future__ import annotations

from itertools import product

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from astroedge.exporters.graph.rewrite_booleans import rewrite_booleans


def test_choice_of_booleans_is_logic() -> None:
    """Every combination of condition and operands gives what Where would, operands broadcast."""
    c, a = np.array(list(product((False, True), repeat=2))).T
    b = np.array([[False], [True]])
    values = {"c": c, "a": a, "b": b}
    inputs = [helper.make_tensor_value_info(name, TensorProto.BOOL, array.shape) for name, array in values.items()]
    result = helper.make_tensor_value_info("y", TensorProto.BOOL, (2, 4))
    graph = helper.make_graph([helper.make_node("Where", ["c", "a", "b"], ["y"])], "g", inputs, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    rewrite_booleans(model)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, values)[0], np.where(c, a, b))
