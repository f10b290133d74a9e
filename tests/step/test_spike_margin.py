"""The margin of a spike tensor, whether one comparison makes it or several."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from astroedge.runtimes import load
from astroedge.runtimes.checking.reference import ObservedReference
from astroedge.step.graph import StepGraph
from astroedge.step.spec import SpikeSpec, StateSpec, StepSpec, TensorSpec
from astroedge.step.spike_margin import float_comparisons, margin_nodes
from astroedge.targets import quantise
from astroedge.targets.boards.target import resolve_target
from astroedge.workflows.compile_graph import probe_build
from tests.support import graphs

WIDTH = 40


def _refractory() -> StepGraph:
    """Neurons that fire at a threshold and then not for two ticks: `(v >= 1) & (rest <= 0)`."""
    shape = (1, WIDTH)
    spec = StepSpec(
        inputs=(TensorSpec("x", shape, "float32"),),
        outputs=(TensorSpec("y", shape, "float32"),),
        states=(StateSpec("v", shape, "float32"), StateSpec("rest", shape, "float32")),
        spikes=(SpikeSpec("spike", "fired", shape, 0.2),),
    )
    nodes = [
        helper.make_node("Mul", ["state.v", "decay"], ["left"]),
        helper.make_node("Add", ["left", "x"], ["v"]),
        helper.make_node("GreaterOrEqual", ["v", "one"], ["reached"]),
        helper.make_node("LessOrEqual", ["state.rest", "zero"], ["rested"]),
        helper.make_node("And", ["reached", "rested"], ["fired"]),
        helper.make_node("Cast", ["fired"], ["y"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["v", "y"], ["next.v"]),
        helper.make_node("Sub", ["state.rest", "one"], ["shorter"]),
        helper.make_node("Add", ["y", "y"], ["added"]),
        helper.make_node("Add", ["shorter", "added"], ["longer"]),
        helper.make_node("Max", ["longer", "zero"], ["next.rest"]),
    ]
    constants = {"decay": np.float32(graphs.DECAY), "one": np.float32(1), "zero": np.float32(0)}
    return graphs.build("refractory", spec, nodes, constants)


def test_a_spike_of_two_comparisons_has_the_smaller_distance() -> None:
    """Whichever comparison is nearer to tipping decides whether rounding can matter."""
    graph = _refractory()
    reference = ObservedReference(graph)
    states = {"v": np.zeros((1, WIDTH), np.float32), "rest": np.full((1, WIDTH), 0.5, np.float32)}
    x = np.linspace(-2, 2, WIDTH, dtype=np.float32)[None]
    seen = reference.tick({"x": x}, states)
    np.testing.assert_array_equal(seen.margins["spike"], np.minimum(np.abs(x - 1), 0.5))


def test_the_compiled_step_and_the_reference_agree_on_it() -> None:
    """A probe build of such a network shows the same spikes and margins as ONNX Runtime."""
    graph = _refractory()
    reference = ObservedReference(graph)
    states = reference.initial_state()
    fired = 0
    with load(probe_build(quantise(graph, "float32"), resolve_target("native"), math="exact")) as session:
        for x in graphs.random_inputs(graph, 60)["x"]:
            ours = session.step(x=x)
            seen = reference.tick({"x": x}, states)
            states = seen.states
            np.testing.assert_array_equal(ours["margin.spike"], seen.margins["spike"])
            np.testing.assert_array_equal(ours["spike.spike"].astype(bool), seen.fired["spike"])
            fired += int(seen.fired["spike"].sum())
    assert 0.02 < fired / (60 * WIDTH) < 0.5


def _window() -> StepGraph:
    """Neurons that fire while their input lies between two bounds, which both look at it; it is called "free"."""
    shape = (1, WIDTH)
    spec = StepSpec(
        inputs=(TensorSpec("free", shape, "float32"),),
        outputs=(TensorSpec("y", shape, "float32"),),
        states=(),
        spikes=(SpikeSpec("spike", "fired", shape, 0.2), SpikeSpec("above", "over", shape, 0.2)),
    )
    nodes = [
        helper.make_node("Add", ["free", "one"], ["v"]),
        helper.make_node("Greater", ["v", "one"], ["over"]),
        helper.make_node("Less", ["v", "two"], ["under"]),
        helper.make_node("And", ["over", "under"], ["fired"]),
        helper.make_node("Cast", ["fired"], ["y"], to=TensorProto.FLOAT),
    ]
    return graphs.build("window", spec, nodes, {"one": np.float32(1), "two": np.float32(2)})


def test_two_comparisons_of_one_membrane_are_followed_together() -> None:
    """A window has the distance to its nearer bound, whatever the model calls its inputs, and one scale for both."""
    graph = _window()
    x = np.linspace(-2, 2, WIDTH, dtype=np.float32)[None]
    seen = ObservedReference(graph).tick({"free": x}, {})
    near = np.minimum(abs(x + 1 - np.float32(1)), abs(x + 1 - np.float32(2)))
    np.testing.assert_array_equal(seen.margins["spike"], near)
    np.testing.assert_array_equal(seen.scales["spike"], np.maximum(np.maximum(abs(x), 1), 2))
    np.testing.assert_array_equal(seen.fired["above"], x > 0)


def test_comparisons_of_integers_have_no_margin() -> None:
    """Rounding cannot decide whether a counter has run out."""
    node = helper.make_node("Greater", ["count", "limit"], ["fired"])
    assert float_comparisons("fired", {"fired": node}, lambda name: False) == []
    assert float_comparisons("fired", {"fired": node}, lambda name: True) == [node]


def test_one_comparison_keeps_its_sign() -> None:
    """Left minus right: below zero where the membrane is below its threshold."""
    spike = SpikeSpec("s", "fired", (1, 4), 0.1)
    nodes = margin_nodes(spike, [helper.make_node("Greater", ["v", "threshold"], ["fired"])])
    assert [node.op_type for node in nodes] == ["Cast", "Cast", "Sub"]
    assert nodes[-1].output == ["margin.s"]
