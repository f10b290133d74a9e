"""A computed matrix times spikes is W z as one product again, however it was traced."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from astroedge.exporters.graph.rewrite_products import rewrite_products

node = helper.make_node
STORED = {"last": [-1], "second": [1], "half": np.float32(0.5), "two": [2], "flat": [1, 6], "turned": [6, 4]}
SPIKES = [node("Greater", ["x", "half"], ["fired"]), node("Cast", ["fired"], ["z"], to=TensorProto.FLOAT)]
ROW = [*SPIKES, node("Unsqueeze", ["z", "second"], ["row"])]


def _model(nodes: Sequence[onnx.NodeProto], result: tuple[int, ...], streams: int = 1) -> onnx.ModelProto:
    """A model from x (streams, 6) and W (streams, 4, 6) to y."""
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in STORED.items()]
    shapes = {"x": [streams, 6], "W": [streams, 4, 6]}
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, result)]
    graph = helper.make_graph(list(nodes), "g", inputs, outputs, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def _run(model: onnx.ModelProto) -> np.ndarray:
    rng = np.random.default_rng(0)
    shapes = {item.name: [dim.dim_value for dim in item.type.tensor_type.shape.dim] for item in model.graph.input}
    given = {name: rng.integers(-9, 9, shape).astype(np.float32) for name, shape in shapes.items()}
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(["y"], given)[0]
    return result


def _summed(operands: list[str], **attributes: int) -> list[onnx.NodeProto]:
    return [node("Mul", operands, ["p"]), node("ReduceSum", ["p", "last"], ["y"], **attributes)]


TRANSPOSED = [
    node("Reshape", ["z", "flat"], ["left"]),
    node("Transpose", ["W"], ["t"], perm=[2, 1, 0]),
    node("Reshape", ["t", "turned"], ["right"]),
    node("MatMul", ["left", "right"], ["y"]),
]
BATCHED = [node("Transpose", ["W"], ["t"], perm=[0, 2, 1]), node("MatMul", ["row", "t"], ["y"])]


@pytest.mark.parametrize(
    "model",
    [
        _model([*ROW, *_summed(["W", "row"], keepdims=0)], (3, 4), 3),
        _model([*ROW, *_summed(["row", "W"], keepdims=1)], (3, 4, 1), 3),
        _model([*SPIKES, *TRANSPOSED], (1, 4)),
        _model([*ROW, *BATCHED], (3, 1, 4), 3),
    ],
    ids=["sum", "kept axis", "einsum of one stream", "transposed matrices"],
)
def test_a_product_is_seen(model: onnx.ModelProto) -> None:
    """The result is the same; W is read as it is, by one product, and nothing of the old form is left."""
    before = _run(model)
    rewrite_products(model)
    kinds = [item.op_type for item in model.graph.node]
    assert kinds.count("MatMul") == 1
    assert not {"Mul", "ReduceSum", "Transpose"} & set(kinds)
    assert np.array_equal(_run(model), before)


@pytest.mark.parametrize(
    "model",
    [
        _model([node("Unsqueeze", ["x", "second"], ["row"]), *_summed(["W", "row"], keepdims=0)], (3, 4), 3),
        _model([*ROW, node("Mul", ["W", "row"], ["p"]), node("ReduceSum", ["p", "second"], ["y"])], (3, 1, 6), 3),
        _model([*ROW, *_summed(["row", "row"], keepdims=0)], (3, 1), 3),
        _model([*SPIKES, node("Transpose", ["W"], ["t"], perm=[2, 0, 1]), node("ReduceSum", ["t", "last"], ["y"])],
               (6, 3, 1), 3),
    ],
    ids=["numbers", "columns", "squares", "no vector"],
)  # fmt: skip
def test_other_forms_stay(model: onnx.ModelProto) -> None:
    """What is no product of a computed matrix and spikes is left as it is."""
    before = [item.op_type for item in model.graph.node]
    rewrite_products(model)
    assert [item.op_type for item in model.graph.node] == before
