"""Importing keeps track of values by position and turns refusals into errors of ours."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import tvm
from onnx import helper

from astroedge.errors import UnsupportedOpError
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StepSpec, TensorSpec
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


def test_stored_bounds_stay_as_small_as_they_are() -> None:
    """Max and Min with a bound a row, a column and one for all read these, not matrices of them."""
    nodes = [
        helper.make_node("Max", ["x", "rows"], ["low"]),
        helper.make_node("Min", ["low", "columns", "all"], ["y"]),
    ]
    spec = StepSpec((TensorSpec("x", (5, 7), "float32"),), (TensorSpec("y", (5, 7), "float32"),), ())
    rng = np.random.default_rng(3)
    bounds = {"rows": (5, 1), "columns": (7,), "all": ()}
    stored = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in bounds.items()}
    main = import_graph(graphs.build("bounds", spec, nodes, stored), False).module["main"]
    calls = [binding.value for block in main.body.blocks for binding in block.bindings]
    operators = [call.op.name for call in calls if isinstance(call, tvm.relax.Call)]
    assert sorted(operators) == ["relax.maximum", "relax.minimum", "relax.minimum"]
