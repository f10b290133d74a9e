"""What TVM's importer makes has the shape and dtype that ONNX has for it, or the operator and its module are named."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from astroedge.errors import CompileError, UnsupportedOpError
from astroedge.step.graph_index import ValueTypes, infer_types
from astroedge.targets.compiler.lower.checked_importer import checked_import


def model_of(node: onnx.NodeProto) -> onnx.ModelProto:
    """A graph of one node that reads `x`."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])
    graph = helper.make_graph([node], "net", [x], [y], [helper.make_tensor("s", TensorProto.FLOAT, [3], np.ones(3))])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.mark.parametrize(
    ("shape", "kind", "made"), [((3, 2), TensorProto.FLOAT, r"float32 \[3, 2\]"), ((2, 3), TensorProto.INT64, "int64")]
)
def test_another_shape_or_dtype_is_refused_by_name(shape: tuple[int, ...], kind: int, made: str) -> None:
    """The operator, its module, the value, and both shapes; where they agree the graph is imported."""
    model = model_of(helper.make_node("Tanh", ["x"], ["y"], name="encoder.act/y"))
    types = ValueTypes({"y": kind}, {"y": shape}, {"y": 2})
    message = rf"^Module 'encoder\.act' uses Tanh .* gets wrong: 'y' is {made}.*, and it makes float32 \[2, 3\]"
    with pytest.raises(UnsupportedOpError, match=message):
        checked_import(model, types)
    right = ValueTypes({"y": TensorProto.FLOAT}, {"y": (2, 3)}, {"y": 2})
    assert checked_import(model, right)["main"].params[0].name == "x"


def test_results_that_the_importer_lacks_are_refused_by_name() -> None:
    """LayerNormalization has three results, of which TVM's importer gets the first alone."""
    node = helper.make_node("LayerNormalization", ["x", "s"], ["y", "mean", "deviation"], name="encoder.norm/y")
    model = model_of(node)
    with pytest.raises(
        UnsupportedOpError, match=r"^Module 'encoder\.norm' uses LayerNormalization .* gets wrong: 'mean'"
    ):
        checked_import(model, infer_types(model))


def test_form_that_the_importer_does_not_know_is_named() -> None:
    """What goes wrong inside TVM is the operator's, with TVM's words behind it."""
    node = helper.make_node("DepthToSpace", ["x"], ["y"], name="encoder/y")
    with pytest.raises(CompileError, match=r"^Module 'encoder' uses DepthToSpace in a form that TVM could not import"):
        checked_import(model_of(node), ValueTypes())
