"""Importing keeps track of values by position and turns refusals into errors of ours."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from astroedge.errors import UnsupportedOpError
from astroedge.step.graph import StepGraph
from astroedge.targets.compiler.lower.import_graph import import_graph
from tests.support import graphs


def _outputs(graph: StepGraph, probes: bool) -> list[object]:
    step = import_graph(graph, probes)
    return list(step.module["main"].body.blocks[-1].bindings[-1].value.fields)


def test_spikes_are_outputs_and_products_are_not() -> None:
    """A plain import returns outputs, next states and spikes; what only named products is gone."""
    graph = graphs.recurrent_net()
    spec = graph.spec
    assert len(_outputs(graph, False)) == len(spec.outputs) + len(spec.states) + len(spec.spikes)


def test_probes_add_a_margin_per_spike_tensor() -> None:
    """A probing import returns one more output for each spike tensor."""
    graph = graphs.recurrent_net()
    assert len(_outputs(graph, True)) == len(_outputs(graph, False)) + len(graph.spec.spikes)


def test_products_are_named_after_their_weights() -> None:
    """A product carries its weight's name, which is what a user knows it by."""
    step = import_graph(graphs.recurrent_net(), False)
    assert {"layers.0.W", "layers.0.R", "layers.1.W", "layers.1.R"} <= set(step.products.values())


def test_spike_variables_are_found_by_position() -> None:
    """Every spike tensor of the graph is some variable of the imported function."""
    graph = graphs.recurrent_net()
    step = import_graph(graph, False)
    assert set(step.spikes.values()) == {spike.name for spike in graph.spec.spikes}
    assert all(tuple(map(int, var.ty.shape)) == (1, width) for var, width in zip(step.spikes, (48, 36), strict=True))


def test_an_operator_without_importer_is_named() -> None:
    """A graph that TVM cannot import is refused with the operator's name."""
    graph = graphs.shared_next()
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    node = next(node for node in model.graph.node if node.output[0] == "left")
    node.CopyFrom(helper.make_node("Bernoulli", ["state.a"], ["left"]))
    with pytest.raises(UnsupportedOpError, match="Bernoulli"):
        import_graph(StepGraph(model, graph.spec), False)


def test_import_leaves_the_graph_as_it_was() -> None:
    """Marker outputs are added to a copy."""
    graph = graphs.lif_layer()
    before = graph.model.SerializeToString(deterministic=True)
    import_graph(graph, True)
    assert graph.model.SerializeToString(deterministic=True) == before
    assert np.prod(graph.spec.spikes[0].shape) == 40
