"""Whatever values a step graph calls spikes, each name is counted and shown, and no kernel takes a number for a 1."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

import astroedge
from astroedge.runtimes import load
from astroedge.step.graph import StepGraph
from astroedge.step.spec import SpikeSpec, StepSpec, TensorSpec
from tests.support import graphs
from tests.support.builds import assert_same_run, build

TICKS, WIDTH = 40, 64
SHAPE = (1, WIDTH)


def _twins(second: str) -> StepGraph:
    """One value that two neuron groups compare with one threshold."""
    spec = StepSpec(
        inputs=(TensorSpec("x", SHAPE, "float32"),),
        outputs=(TensorSpec("y", SHAPE, "float32"), TensorSpec("z", SHAPE, "float32")),
        states=(),
        spikes=(SpikeSpec("first", "f", SHAPE, 0.3), SpikeSpec("second", "g", SHAPE, 0.3)),
    )
    nodes = [
        helper.make_node("GreaterOrEqual", ["x", "threshold"], ["f"]),
        helper.make_node(second, ["x", "threshold"], ["g"]),
        helper.make_node("Cast", ["f"], ["y"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["g"], ["z"], to=TensorProto.FLOAT),
    ]
    return graphs.build("twins", spec, nodes, {"threshold": np.float32(0.5)})


def test_two_names_of_one_spike_tensor_are_both_counted() -> None:
    """Equal comparisons become one value; each of its names has a counter."""
    graph = _twins("GreaterOrEqual")
    with load(build(graph)) as session:
        assert_same_run(graph, session, graphs.random_inputs(graph, TICKS, seed=9))
        counts = session.activity()
    assert list(counts) == ["first", "second"]
    assert counts["first"].active == counts["second"].active > 0


def test_two_spike_tensors_with_one_margin_are_checked() -> None:
    """`≥` and `>` have the same margin, which a probe build shows under both names."""
    graph = _twins("Greater")
    assert astroedge.compile(graph).manifest.golden.parity["ticks"] > 0
    with load(build(graph, probes=True)) as session:
        seen = session.run(**graphs.random_inputs(graph, TICKS, seed=9))
    assert set(seen) == {"y", "z", "spike.first", "margin.first", "spike.second", "margin.second"}
    np.testing.assert_array_equal(seen["margin.first"], seen["margin.second"])


def test_a_spike_tensor_of_other_numbers_is_multiplied() -> None:
    """Spikes of height 2 keep their height in an event-driven product."""
    spec = StepSpec(
        inputs=(TensorSpec("x", SHAPE, "float32", firing_rate=0.3),),
        outputs=(TensorSpec("y", SHAPE, "float32"),),
        states=(),
        spikes=(SpikeSpec("tall", "s", SHAPE, 0.3),),
    )
    nodes = [helper.make_node("Mul", ["x", "two"], ["s"]), helper.make_node("MatMul", ["s", "W"], ["y"])]
    weights = graphs.grid_weights(np.random.default_rng(0), WIDTH, WIDTH)
    graph = graphs.build("tall", spec, nodes, {"two": np.float32(2), "W": weights})
    bundle = build(graph, kernels="event")
    assert [matrix.kernel for matrix in bundle.manifest.matrices] == ["event"]
    with load(bundle) as session:
        assert_same_run(graph, session, graphs.random_inputs(graph, TICKS, seed=9))
