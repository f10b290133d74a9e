"""Convolutions of spikes skip the silent ones where that pays; each image is listed once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper

from astroedge.bundle.manifest import Matrix
from astroedge.step.graph import StepGraph
from astroedge.step.spec import SpikeSpec, StateSpec, StepSpec, TensorSpec
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.select.convolution_cost import dense_cost, event_cost, windows_together
from astroedge.targets.kernels.convolutions.convolution import Convolution
from tests.support import graphs
from tests.support.programs import chosen_program

node = helper.make_node
X86 = resolve_target("x86-64-v3")


def _two_readers(rate: float = 0.1, weight: float = 1.0, groups: int = 1) -> StepGraph:
    """Events on 2 × 20 × 20 are convolved twice, to 16 and to 8 channels; the 16 fire, and their pool is convolved."""
    rng = np.random.default_rng(0)
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, 2, 20, 20), "float32", firing_rate=rate),),
        outputs=(TensorSpec("y", (1, 8, 18, 18), "float32"), TensorSpec("z", (1, 12, 4, 4), "float32")),
        states=(StateSpec("v", (1, 16, 16, 16), "float32"),),
        spikes=(SpikeSpec("spike", "fired", (1, 16, 16, 16), 0.1),),
    )
    nodes = [
        node("Conv", ["x", "first.weight"], ["current"], group=groups),
        node("Conv", ["x", "other.weight"], ["y"]),
        node("Add", ["state.v", "current"], ["next.v"]),
        node("Greater", ["next.v", "one"], ["fired"]),
        node("Cast", ["fired"], ["spikes"], to=TensorProto.FLOAT),
        node("MaxPool", ["spikes"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["pooled", "last.weight"], ["z"]),
    ]
    constants: graphs.Constants = {
        "one": np.float32(1),
        "first.weight": rng.normal(size=(16, 2 // groups, 5, 5)).astype(np.float32) * np.float32(weight),
        "other.weight": rng.normal(size=(8, 2, 3, 3)).astype(np.float32),
        "last.weight": rng.normal(size=(12, 16, 5, 5)).astype(np.float32),
    }
    return graphs.build("two_readers", spec, nodes, constants)


def _matrices(graph: StepGraph, kernels: str = "auto") -> dict[str, Matrix]:
    return {matrix.name: matrix for matrix in chosen_program(graph, kernels)[1].matrices}


def test_an_image_is_listed_once_for_all_its_readers() -> None:
    """Two convolutions of one image share its list, which one of them reads by strips; the count has a user's name."""
    program, choice = chosen_program(_two_readers())
    kinds = Counter(call.kind for call in program.calls)
    assert (kinds["masks"], kinds["active-list"], kinds["strips"]) == (2, 2, 2)
    assert (kinds["event-conv"], kinds["transpose"]) == (3, 3)
    names = [counter.name for counter in choice.counters]
    assert names[:2] == ["spike", "x"]
    assert names[2] == "spike into last"


def test_what_is_reported_of_a_convolution() -> None:
    """Taps, outputs and windows; the pool of spikes that fire at 10 % fires at up to 34 %."""
    found = _matrices(_two_readers())
    first, last = found["first"], found["last"]
    assert (first.rows, first.columns, first.calls, first.kernel) == (50, 16, 256, "event")
    assert (first.spikes, first.nonzero, first.precision) == ("x", 50 * 16, "float32")
    assert "x fires at 10.0%" in first.reason
    assert last.rows == 16 * 25
    assert "spike fires at 34.4%" in last.reason


def test_events_that_nearly_always_come_are_multiplied() -> None:
    """At a high rate the dense kernel is faster, and the reason says so."""
    dense = _matrices(_two_readers(rate=0.9))["first"]
    assert dense.kernel == "dense"
    assert "90.0%" in dense.reason


def test_infinite_weights_are_multiplied() -> None:
    """0 times infinity is NaN, which an event-driven kernel would not see."""
    assert "infinite" in _matrices(_two_readers(weight=np.inf), "event")["first"].reason


@pytest.mark.parametrize("kernels", ["event", "dense"])
def test_a_kind_of_kernel_can_be_forced(kernels: str) -> None:
    """Groups included."""
    graph = _two_readers(rate=0.6, groups=2)
    assert {matrix.kernel for matrix in _matrices(graph, kernels).values()} == {kernels}


def test_numbers_are_multiplied() -> None:
    """An input that was not measured as spikes has no list."""
    graph = _two_readers()
    numbers = tuple(replace(item, firing_rate=None) for item in graph.spec.inputs)
    found = _matrices(StepGraph(graph.model, replace(graph.spec, inputs=numbers)), "event")
    assert (found["first"].kernel, found["first"].spikes) == ("dense", None)
    assert found["last"].kernel == "event"


def test_costs_order_kernels_as_measured() -> None:
    """Sparse images of many channels win; depthwise convolutions and dense images lose, on every kind of processor."""
    wide, depthwise = (
        Convolution(1, 32, 16, 16, 64, (3, 3), padding=(1, 1, 1, 1)),
        Convolution(1, 32, 16, 16, 32, (3, 3), padding=(1, 1, 1, 1), groups=32),
    )
    for target in (X86, resolve_target("raspberry-pi-4"), resolve_target("x86-64-v4")):
        assert event_cost(wide, 0.05, 1, target) < dense_cost(wide, target) / 3
        assert event_cost(wide, 0.9, 1, target) > dense_cost(wide, target) / 2
        assert event_cost(depthwise, 0.05, 1, target) > dense_cost(depthwise, target)


def test_rare_events_are_walked_in_several_windows_at_once() -> None:
    """Few elements a stretch make its beginning the larger part; many elements fill one window's time."""
    image = Convolution(1, 2, 34, 34, 12, (5, 5))
    deep = Convolution(1, 12, 15, 15, 32, (5, 5))
    target = resolve_target("x86-64-v4")
    assert windows_together(image, 0.02, target) >= windows_together(image, 0.5, target) >= 1
    assert windows_together(image, 0.1, target) > 2
    assert windows_together(deep, 0.4, target) <= 2
