"""A bundle comes with its proof: parity with ONNX Runtime, and a golden trace that holds on its own processor."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from astroedge.runtimes import load
from astroedge.runtimes.checking.golden import draw_inputs, replay
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from astroedge.targets.boards.target import resolve_target
from astroedge.workflows import compile_graph
from astroedge.workflows.compile_graph import compile, runs_here
from astroedge.workflows.verify_bundle import examine
from tests.support import graphs


def _overflowing() -> StepGraph:
    """Two states that grow fourfold a tick and whose difference is infinity minus infinity after some 60 ticks."""
    shape = (1, 4)
    spec = StepSpec(
        inputs=(TensorSpec("x", shape, "float32"),),
        outputs=(TensorSpec("y", shape, "float32"),),
        states=(StateSpec("v", shape, "float32", initial=1.0), StateSpec("w", shape, "float32", initial=2.0)),
    )
    nodes = [
        helper.make_node("Mul", ["state.v", "four"], ["next.v"]),
        helper.make_node("Mul", ["state.w", "four"], ["next.w"]),
        helper.make_node("Sub", ["next.v", "next.w"], ["difference"]),
        helper.make_node("Add", ["difference", "x"], ["y"]),
    ]
    return graphs.build("overflowing", spec, nodes, {"four": np.float32(4)})


def test_a_bundle_for_another_processor_has_the_trace_of_this_one() -> None:
    """The hashes recorded here are what the board must reproduce."""
    graph = graphs.recurrent_net()
    here, there = compile(graph, "native"), compile(graph, "raspberry-pi-4")
    assert [item.tick for item in here.manifest.golden.ticks] == [1, 10, 100, 1000]
    assert there.manifest.golden == here.manifest.golden
    assert here.manifest.golden.parity["spikes_compared"] > 0
    with load(here) as session:
        assert replay(session).agrees


def test_fast_math_proves_nothing_for_a_processor_that_is_not_here() -> None:
    """Its bits hold for one processor only, so a bundle for another carries no trace."""
    bundle = compile(graphs.lif_layer(), "raspberry-pi-4", math="fast")
    assert bundle.manifest.math == "fast"
    assert bundle.manifest.golden.ticks == ()


def test_ticks_that_hold_a_nan_are_left_out_of_the_trace() -> None:
    """The sign of a NaN differs between processors; the rest of the trace stays, and the user is told."""
    said: list[str] = []
    bundle = compile(_overflowing(), progress=said.append)
    assert [item.tick for item in bundle.manifest.golden.ticks] == [1, 10]
    assert any("tick 100 of the golden trace holds a NaN" in line for line in said)


def _disputed() -> StepGraph:
    """log σ(x), which ONNX Runtime has as −∞ below −18; 12 / d; softmax(x + mask) of an infinite mask; a state."""
    shape = (1, 8)
    spec = StepSpec(
        inputs=(
            TensorSpec("x", shape, "float32", span=60.0),
            TensorSpec("d", shape, "int64", value_range=(2, 6)),
            TensorSpec("mask", shape, "float32", span=np.inf),
        ),
        outputs=(TensorSpec("l", shape, "float32"), TensorSpec("q", shape, "int64"), TensorSpec("p", shape, "float32")),
        states=(StateSpec("v", shape, "float32"),),
    )
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["s"]),
        helper.make_node("Log", ["s"], ["l"]),
        helper.make_node("Div", ["twelve", "d"], ["q"]),
        helper.make_node("Add", ["x", "mask"], ["masked"]),
        helper.make_node("Softmax", ["masked"], ["p"]),
        helper.make_node("Mul", ["state.v", "half"], ["kept"]),
        helper.make_node("Add", ["kept", "l"], ["next.v"]),
    ]
    return graphs.build("disputed", spec, nodes, {"twelve": np.int64(12), "half": np.float32(0.5)})


def test_what_onnx_runtime_cannot_judge_compiles_and_is_verified() -> None:
    """A right step passes where its reference is off, on data like the examples; what is accepted is recorded.

    Verifying accepts as much, unless told otherwise.
    """
    said: list[str] = []
    graph = _disputed()
    bundle = compile(graph, tolerance=2e-5, allow_flips=1, check_ticks=40, progress=said.append)
    parity = bundle.manifest.golden.parity
    assert any("ONNX Runtime is off and the step agrees with float64" in line for line in said)
    assert parity["reference_faults"] > 0
    assert (parity["tolerance"], parity["allow_flips"]) == (2e-5, 1)
    with load(bundle) as session:
        drawn = draw_inputs(session.manifest.layout.inputs, 1, 0, 50)
        assert np.unique(drawn["d"]).tolist() == [2, 3, 4, 5]
        assert abs(drawn["mask"]).max() <= 1
        report = examine(session, graph, steps=3)
        assert report.forced is not None
        assert report.ok
        assert (report.forced.tolerance, report.forced.allow_flips) == (2e-5, 1)
        again = examine(session, graph, steps=3, tolerance=1e-3).forced
        assert again is not None
        assert again.tolerance == 1e-3


def test_a_large_step_is_compared_and_traced_over_fewer_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick of a hundred million multiplications takes a board long to replay; who compiles it may ask for more.

    Of a huge step, which this one is taken for in the end, there are fewer still.
    """
    shape = (1, 64, 64, 48)
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, 64, 64, 48), "float32", firing_rate=0.1),),
        outputs=(TensorSpec("y", (1, 2, 1, 1), "float32"),),
        states=(StateSpec("v", shape, "float32"),),
    )
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["current"], pads=[1, 1, 1, 1]),
        helper.make_node("Mul", ["state.v", "half"], ["kept"]),
        helper.make_node("Add", ["kept", "current"], ["next.v"]),
        helper.make_node("Slice", ["next.v", "from", "to"], ["y"]),
    ]
    rng = np.random.default_rng(0)
    stored = {
        "w": rng.normal(0, 0.05, (64, 64, 3, 3)).astype(np.float32),
        "half": np.float32(0.5),
        "from": np.array([0, 3, 7, 9]),
        "to": np.array([1, 5, 8, 10]),
    }
    graph = graphs.build("large", spec, nodes, stored)
    golden = compile(graph).manifest.golden
    assert [item.tick for item in golden.ticks] == [1, 10, 100]
    assert golden.parity["ticks"] == 50
    assert compile(graph, check_ticks=60).manifest.golden.parity["ticks"] == 60
    monkeypatch.setattr(compile_graph, "HUGE_STEP", 10**8)
    golden = compile(graph).manifest.golden
    assert [item.tick for item in golden.ticks] == [1, 10]
    assert golden.parity["ticks"] == 20


def test_a_target_runs_here_when_its_features_do() -> None:
    """Another architecture never does; this machine's own target always does."""
    assert runs_here(resolve_target("native"))
    other = "raspberry-pi-4" if resolve_target("native").arch == "x86_64" else "x86-64-v2"
    assert not runs_here(resolve_target(other))
