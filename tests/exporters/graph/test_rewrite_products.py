"""A vector times stored weights is a matrix product again, whatever PyTorch's exporter wrote."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from astroedge.exporters.graph.rewrite_products import rewrite_products

node = helper.make_node
W = np.random.default_rng(0).integers(-9, 9, (4, 6)).astype(np.float32)
X = np.arange(6, dtype=np.float32)


def _model(*nodes: onnx.NodeProto, result: tuple[int, ...] = (4,), extra: str = "") -> onnx.ModelProto:
    """A model from x (6,) to y, with W stored, and an inner value as a second output."""
    axes = {"last": [-1], "first": [0]}
    stored = [numpy_helper.from_array(W, "W"), *(numpy_helper.from_array(np.array(v), k) for k, v in axes.items())]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [6])
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, result)]
    outputs += [helper.make_tensor_value_info(extra, TensorProto.FLOAT, W.shape)] if extra else []
    graph = helper.make_graph(list(nodes), "g", [x], outputs, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def _run(model: onnx.ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(["y"], {"x": X})[0]
    return result


@pytest.mark.parametrize("operands", [["W", "x"], ["x", "W"]])
def test_sum_of_a_row_of_products_is_a_matrix_product(operands: list[str]) -> None:
    """`W @ z`, traced as a sum of W * z, becomes one MatMul with the same result."""
    model = _model(node("Mul", operands, ["p"]), node("ReduceSum", ["p", "last"], ["y"], keepdims=0))
    before = _run(model)
    rewrite_products(model)
    assert [item.op_type for item in model.graph.node] == ["MatMul"]
    assert np.array_equal(_run(model), before)


@pytest.mark.parametrize(
    "model",
    [
        _model(node("Mul", ["W", "x"], ["p"]), node("ReduceSum", ["p", "first"], ["y"], keepdims=0), result=(6,)),
        _model(node("Mul", ["W", "x"], ["p"]), node("ReduceSum", ["p", "last"], ["y"], keepdims=1), result=(4, 1)),
        _model(node("Mul", ["W", "x"], ["p"]), node("ReduceSum", ["p", "last"], ["y"], keepdims=0), extra="p"),
        _model(node("Mul", ["W", "W"], ["p"]), node("ReduceSum", ["p", "last"], ["y"], keepdims=0)),
        _model(node("Add", ["W", "x"], ["p"]), node("ReduceSum", ["p", "last"], ["y"], keepdims=0)),
    ],
    ids=["columns", "kept axis", "products are an output", "squares", "sums"],
)
def test_other_sums_stay(model: onnx.ModelProto) -> None:
    """What is no product of weights and a vector, or is read elsewhere too, is left as it is."""
    before = [item.op_type for item in model.graph.node]
    rewrite_products(model)
    assert [item.op_type for item in model.graph.node] == before
