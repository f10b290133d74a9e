"""Spike tensors are found through casts, products, delays and around the loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper

from astroedge.step.find_sparsity import find_sparsity
from astroedge.step.graph import StepGraph
from astroedge.step.sparsity import Sparsity
from astroedge.step.spec import SpikeSpec, StateSpec, StepSpec, TensorSpec
from tests.support import graphs


def _parameters(graph: StepGraph) -> dict[str, Sparsity | None]:
    found = find_sparsity(graph.model, graph.spec)
    inputs = {item.name: found.get(item.name) for item in graph.spec.inputs}
    return {**inputs, **{item.name: found.get(item.input_name) for item in graph.spec.states}}


def test_a_state_that_holds_last_ticks_spikes_is_sparse_but_not_proved_binary() -> None:
    """Recurrent spikes come in as a state; the user may set it to anything, so its values are multiplied."""
    found = _parameters(graphs.recurrent_net())
    assert found["layers.0.s"] == Sparsity("layers.0.spike", 0.15, binary=False)
    assert found["layers.0.v"] is None


def test_an_input_measured_as_spikes_is_sparse() -> None:
    """Export's firing rate declares an input sparse."""
    assert _parameters(graphs.lif_layer())["x"] == Sparsity("x", 0.25, binary=False, whole=True)
    assert _parameters(graphs.shared_next())["x"] is None


def test_a_state_that_starts_elsewhere_than_zero_is_not_sparse() -> None:
    """A spike state whose first tick is all ones cannot be counted on to be sparse."""
    graph = graphs.recurrent_net()
    states = tuple(replace(state, initial=1.0) if state.name == "layers.0.s" else state for state in graph.spec.states)
    assert _parameters(StepGraph(graph.model, replace(graph.spec, states=states)))["layers.0.s"] is None


def test_a_delay_line_of_spikes_is_sparse_all_the_way() -> None:
    """Sparsity goes around the loop once per delay."""
    names = ("one", "two", "three")
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, 8), "float32"),),
        outputs=(TensorSpec("y", (1, 8), "float32"),),
        states=tuple(StateSpec(name, (1, 8), "float32") for name in names),
        spikes=(SpikeSpec("spike", "fired", (1, 8), 0.2),),
    )
    nodes = [
        helper.make_node("Greater", ["x", "threshold"], ["fired"]),
        helper.make_node("Cast", ["fired"], ["spike"], to=TensorProto.FLOAT),
        helper.make_node("Identity", ["spike"], ["next.one"]),
        helper.make_node("Mul", ["state.one", "half"], ["next.two"]),
        helper.make_node("Identity", ["state.two"], ["next.three"]),
        helper.make_node("Identity", ["state.three"], ["y"]),
    ]
    graph = graphs.build("delays", spec, nodes, {"threshold": np.float32(0.5), "half": np.float32(0.5)})
    found = _parameters(graph)
    assert all(found[name] == Sparsity("spike", 0.2, binary=False) for name in names)


@pytest.mark.parametrize("last", [["difference", "soft"], ["soft", "difference"]])
def test_straight_through_spikes_are_sparse_but_graded(last: list[str]) -> None:
    """`(spike - soft) + soft`, either way round, is exactly 0 where nothing fires and nearly 1 elsewhere."""
    found = _parameters(_straight_through(last))
    assert found["z"] == Sparsity("spike", 0.2, binary=False)


def test_another_sum_of_spikes_is_not_sparse() -> None:
    """A difference to which something else is added has no zeros to count on."""
    assert _parameters(_straight_through(["difference", "x"]))["z"] is None


def _straight_through(last: list[str]) -> StepGraph:
    """A state `z` whose next value is the sum of `last`."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, 8), "float32"),),
        outputs=(TensorSpec("y", (1, 8), "float32"),),
        states=(StateSpec("z", (1, 8), "float32"),),
        spikes=(SpikeSpec("spike", "fired", (1, 8), 0.2),),
    )
    nodes = [
        helper.make_node("Greater", ["x", "threshold"], ["fired"]),
        helper.make_node("Cast", ["fired"], ["spike"], to=TensorProto.FLOAT),
        helper.make_node("Sigmoid", ["x"], ["soft"]),
        helper.make_node("Sub", ["spike", "soft"], ["difference"]),
        helper.make_node("Add", last, ["next.z"]),
        helper.make_node("Identity", ["state.z"], ["y"]),
    ]
    return graphs.build("straight through", spec, nodes, {"threshold": np.float32(0.5)})


def test_the_cast_of_a_comparison_is_binary() -> None:
    """Only a comparison inside the step proves zeros and ones."""
    graph = graphs.lif_layer()
    found = find_sparsity(graph.model, graph.spec)
    casts = [node.output[0] for node in graph.model.graph.node if node.op_type == "Cast"]
    assert [found[name] for name in casts] == [Sparsity("lif.spike", 0.1, binary=True, whole=True, exact=True)]
