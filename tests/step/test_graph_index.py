"""The index of an ONNX graph: makers, readers, stored tensors, names and types."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from astroedge.errors import GraphError
from astroedge.step.graph_index import (
    CAPTURED,
    GraphIndex,
    attributes,
    declared_types,
    infer_types,
    live_nodes,
    node_reads,
    replace_items,
    subgraphs,
)


def _branch(name: str, node: onnx.NodeProto) -> onnx.GraphProto:
    """A branch of one node."""
    return helper.make_graph([node], name, [], [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, [3])])


def _model(rows: int = 4, result: tuple[int, ...] = (2, 3)) -> onnx.ModelProto:
    """`y = (x W) + (c, or its opposite)`, where c is a Constant node's that an If captures; `unused` leads nowhere."""
    nodes = [
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.ones(3, np.float32), "any")),
        helper.make_node("Gemm", ["x", "W"], ["product"], alpha=0.5, transB=0),
        helper.make_node(
            "If",
            ["choice"],
            ["chosen"],
            then_branch=_branch("then", helper.make_node("Identity", ["c"], ["kept"])),
            else_branch=_branch("else", helper.make_node("Neg", ["c"], ["opposite"])),
        ),
        helper.make_node("Neg", ["product"], ["unused"]),
        helper.make_node("Add", ["product", "chosen"], ["y"]),
    ]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, rows]),
        helper.make_tensor_value_info("choice", TensorProto.BOOL, []),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, result)]
    weights = numpy_helper.from_array(np.zeros((4, 3), np.float32), "W")
    graph = helper.make_graph(nodes, "net", inputs, outputs, [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_each_value_has_the_node_that_makes_it() -> None:
    """Makers are the graph's own nodes; inputs, initialisers and values of sub-graphs have none."""
    graph = _model().graph
    made = {name: node.op_type for name, node in GraphIndex(graph).makers.items()}
    assert made == {"c": "Constant", "product": "Gemm", "chosen": "If", "unused": "Neg", "y": "Add"}


def test_readers_are_in_order_with_their_operand() -> None:
    """A value's readers come in graph order, each with the operand; a sub-graph's capture is marked."""
    readers = GraphIndex(_model().graph).readers
    found = {name: [(node.op_type, position) for node, position in uses] for name, uses in readers.items()}
    assert found["product"] == [("Neg", 0), ("Add", 0)]
    assert found["W"] == [("Gemm", 1)]
    assert found["c"] == [("If", CAPTURED)]
    assert "unused" not in found


def test_a_node_that_reads_a_value_twice_is_listed_twice() -> None:
    """The square of a value has two operands."""
    graph = helper.make_graph([helper.make_node("Mul", ["x", "x"], ["y"])], "square", [], [])
    assert [position for _, position in GraphIndex(graph).readers["x"]] == [0, 1]


def test_stored_tensors_include_those_of_constant_nodes() -> None:
    """Initialisers alone, and with Constant nodes under the names by which they are read."""
    index = GraphIndex(_model().graph)
    assert list(index.initialisers) == ["W"]
    assert list(index.stored) == ["W", "c"]
    assert numpy_helper.to_array(index.stored["c"]).tolist() == [1, 1, 1]


def test_names_reach_into_sub_graphs() -> None:
    """A new name must be none of a branch's either."""
    names = GraphIndex(_model().graph).names
    assert names == {"x", "choice", "W", "c", "product", "chosen", "kept", "opposite", "unused", "y"}


def test_types_of_all_values_are_inferred() -> None:
    """Element type, shape and number of axes of inputs, initialisers and what nodes make."""
    types = infer_types(_model())
    assert types.shapes["product"] == types.shapes["y"] == (2, 3)
    assert types.shapes["W"] == (4, 3)
    assert (types.ranks["chosen"], types.ranks["choice"]) == (1, 0)
    assert types.elements["choice"] == TensorProto.BOOL
    assert types.elements["chosen"] == TensorProto.FLOAT


def test_a_large_weight_has_its_type_as_well() -> None:
    """A weight too large for shape inference to look into is known by its shape."""
    model = _model(rows=1000)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.zeros((1000, 3), np.float32), "W"))
    assert infer_types(model).shapes["W"] == (1000, 3)


def test_sizes_that_are_open_are_no_shape() -> None:
    """A symbolic size leaves the number of axes known, a missing shape not even that."""
    values = [
        helper.make_tensor_value_info("open", TensorProto.INT64, ["batch", 3]),
        helper.make_tensor_value_info("unknown", TensorProto.FLOAT, None),
    ]
    types = declared_types(helper.make_graph([], "net", values, []))
    assert types.elements == {"open": TensorProto.INT64, "unknown": TensorProto.FLOAT}
    assert (types.shapes, types.ranks) == ({}, {"open": 2})


def test_shapes_that_do_not_fit_are_refused() -> None:
    """A product of sizes that differ is no valid graph, and the error says what is wrong."""
    with pytest.raises(GraphError, match=r"not valid ONNX \(.*Gemm"):
        infer_types(_model(rows=5))


def test_live_nodes_are_those_that_outputs_depend_on() -> None:
    """What leads nowhere is left out; what a sub-graph captures is not."""
    live = [node.op_type for node in live_nodes(_model().graph, ["y"])]
    assert live == ["Constant", "Gemm", "If", "Add"]


def test_reads_and_attributes_of_a_node() -> None:
    """A node's reads include captures and no empty names; attributes come as Python values."""
    _, gemm, choice, *_ = _model().graph.node
    assert node_reads(choice) == {"choice", "c", "kept", "opposite"}
    assert [graph.name for graph in subgraphs(choice)] == ["else", "then"]
    assert attributes(gemm) == {"alpha": 0.5, "transB": 0}
    assert node_reads(helper.make_node("Clip", ["x", "", "top"], ["y"])) == {"x", "top"}


def test_items_of_a_list_may_take_each_others_places() -> None:
    """A list of nodes is refilled from some of its own, which are looked at before it is emptied."""
    graph = _model().graph
    replace_items(graph.node, (graph.node[index] for index in (4, 1)))
    assert [node.op_type for node in graph.node] == ["Add", "Gemm"]
