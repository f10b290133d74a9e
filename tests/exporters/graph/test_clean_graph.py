"""Cleaning a traced model: pruning, names, nothing local."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from astroedge.errors import UnsupportedOpError
from astroedge.exporters.graph.clean_graph import SCOPES_KEY, clean_graph, cut, module_of, prune_states
from astroedge.step.spec import StateSpec


def graph_of(
    nodes: list[onnx.NodeProto], states: list[str], constants: dict[str, np.ndarray] | None = None
) -> onnx.ModelProto:
    """A model with one input x, one output y and some states, all float32 (1,)."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    inputs = [helper.make_tensor_value_info(f"state.{name}", TensorProto.FLOAT, [1]) for name in states]
    outputs = [helper.make_tensor_value_info(f"next.{name}", TensorProto.FLOAT, [1]) for name in states]
    stored = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(nodes, "g", [values[0], *inputs], [values[1], *outputs], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def identity(source: str, target: str) -> onnx.NodeProto:
    """A copy."""
    return helper.make_node("Identity", [source], [target])


def pruned(nodes: list[onnx.NodeProto], states: list[str]) -> tuple[list[str], onnx.GraphProto]:
    """Names of the pruned states and the graph that is left."""
    model = graph_of(nodes, states)
    return prune_states(model.graph, [StateSpec(name, (1,), "float32") for name in states]), model.graph


def test_delay_line_that_nobody_reads_goes_as_a_whole() -> None:
    """When the last element of a line is unread, the one before becomes unread, and so on."""
    nodes = [identity("x", "y"), identity("x", "next.a"), identity("state.a", "next.b"), identity("state.b", "next.c")]
    names, graph = pruned(nodes, ["a", "b", "c"])
    assert sorted(names) == ["a", "b", "c"]
    assert [value.name for value in (*graph.input, *graph.output)] == ["x", "y"]
    assert [node.output[0] for node in graph.node] == ["y"]


def test_state_read_by_a_kept_state_is_kept() -> None:
    """A state that only reaches the output through another state stays."""
    nodes = [identity("state.b", "y"), identity("x", "next.a"), identity("state.a", "next.b")]
    assert pruned(nodes, ["a", "b"])[0] == []


def test_self_copy_is_pruned_and_self_sum_is_not() -> None:
    """A state that only copies itself carries nothing; one that adds to itself does."""
    nodes = [
        identity("x", "y"),
        identity("state.copy", "next.copy"),
        helper.make_node("Add", ["state.sum", "x"], ["next.sum"]),
    ]
    assert pruned(nodes, ["copy", "sum"])[0] == ["copy"]


def test_cleaning_names_nodes_after_modules_and_drops_notes() -> None:
    """A node is named after its module and value; metadata, documentation and shape notes go."""
    node = helper.make_node("Neg", ["x"], ["y"], name="node_neg", doc_string="/home/me/model.py")
    node.metadata_props.add(key=SCOPES_KEY, value="['', 'model', 'model.lif', 'neg']")
    node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value="/home/me/model.py")
    model = graph_of([node], [])
    model.graph.value_info.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [7]))
    model.doc_string = model.graph.doc_string = "/home/me"
    clean_graph(model, "net", ["model"])
    assert (model.graph.name, model.graph.node[0].name, module_of(model.graph.node[0])) == ("net", "lif/y", "lif")
    assert b"/home" not in model.SerializeToString()
    assert not model.graph.value_info


def test_dead_nodes_and_constants_go() -> None:
    """What no output needs is removed."""
    nodes = [helper.make_node("Add", ["x", "used"], ["y"]), helper.make_node("Add", ["x", "unused"], ["z"])]
    constants = {"used": np.ones(1, np.float32), "unused": np.zeros(1, np.float32)}
    model = graph_of(nodes, [], constants)
    clean_graph(model, "net", [])
    assert [tensor.name for tensor in model.graph.initializer] == ["used"]
    assert len(model.graph.node) == 1


def test_constant_next_gets_a_node_of_its_own() -> None:
    """A next value that is a constant comes out of an Identity, so that an output is always made by a node."""
    nodes = [helper.make_node("Add", ["state.a", "next.a"], ["y"])]
    model = graph_of(nodes, ["a"], {"next.a": np.ones(1, np.float32)})
    clean_graph(model, "net", [])
    assert [node.op_type for node in model.graph.node] == ["Add", "Identity"]
    onnx.checker.check_model(model, full_check=True)


def test_prefixes_are_cut_unless_names_would_clash() -> None:
    """`model.` is cut from initialisers, but not onto the name of another value."""
    names = ["model.w", "model.x", "model.v", "v"]
    nodes = [helper.make_node("Sum", ["x", *names], ["y"])]
    model = graph_of(nodes, [], {name: np.full(1, number, np.float32) for number, name in enumerate(names)})
    clean_graph(model, "net", ["model"])
    assert [tensor.name for tensor in model.graph.initializer] == ["w", "model.x", "model.v", "v"]
    assert list(model.graph.node[0].input) == ["x", "w", "model.x", "model.v", "v"]


@pytest.mark.parametrize(
    ("path", "short"),
    [("model.a.b", "a.b"), ("model", ""), ("modelling.a", "modelling.a"), ("model.model.a", "model.a")],
)
def test_cut_removes_whole_prefixes_once(path: str, short: str) -> None:
    """A prefix is a whole path element, cut once."""
    assert cut(path, ["model"]) == short


@pytest.mark.parametrize("operator", ["Loop", "Scan", "If", "LSTM", "GRU", "RNN", "Bernoulli", "NonZero", "SequenceAt"])
def test_operators_without_a_place_in_a_step_are_refused(operator: str) -> None:
    """Control flow, randomness, sequences and varying sizes are refused with the operator and the module."""
    node = helper.make_node(operator, ["x"], ["y"])
    node.metadata_props.add(key=SCOPES_KEY, value="['', 'model', 'model.cell', 'op']")
    with pytest.raises(UnsupportedOpError, match=rf"Module 'cell' uses {operator}"):
        clean_graph(graph_of([node], []), "net", ["model"])


def test_operator_of_another_domain_is_refused() -> None:
    """Only standard ONNX operators are carried."""
    with pytest.raises(UnsupportedOpError, match="FusedThing of com"):
        clean_graph(graph_of([helper.make_node("FusedThing", ["x"], ["y"], domain="com.vendor")], []), "net", [])
