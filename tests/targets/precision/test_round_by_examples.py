"""Int4 weights are rounded by the examples that a graph carries, where that is better, and the graph says so."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from astroedge.step.graph import StepGraph
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from astroedge.targets import quantise
from astroedge.targets.precision import record_inputs, round_by_examples
from astroedge.targets.precision.quantise_weights import QuantisedGraph
from tests.support.graphs import build, step_through

ROWS, TICKS = 96, 600


def two_matrices(seed: int = 0) -> StepGraph:
    """An embedding, W that multiplies x and a state, and V that multiplies what W gives."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, ROWS), "float32"), TensorSpec("i", (1,), "int64", index_range=(0, 7))),
        outputs=(TensorSpec("y", (1, 12), "float32"),),
        states=(StateSpec("v", (1, ROWS), "float32"),),
    )
    rng = np.random.default_rng(seed)
    nodes = [
        helper.make_node("Gather", ["table", "i"], ["row"]),
        helper.make_node("Add", ["x", "row"], ["sum"]),
        helper.make_node("MatMul", ["sum", "W"], ["a"]),
        helper.make_node("Tanh", ["a"], ["next.v"]),
        helper.make_node("Add", ["next.v", "state.v"], ["both"]),
        helper.make_node("MatMul", ["both", "V"], ["y"]),
    ]
    constants = {
        "table": rng.normal(size=(7, ROWS)).astype(np.float32),
        "W": rng.normal(size=(ROWS, ROWS)).astype(np.float32),
        "V": rng.normal(size=(ROWS, 12)).astype(np.float32),
    }
    return build("two", spec, nodes, constants)


def inputs(ticks: int, seed: int = 1) -> dict[str, NDArray[np.generic]]:
    """Inputs that a few causes share."""
    rng, mix = np.random.default_rng(seed), np.random.default_rng(9).normal(size=(8, ROWS))
    shared = rng.normal(size=(ticks, 1, 8)) @ mix + 0.2 * rng.normal(size=(ticks, 1, ROWS))
    return {"x": shared.astype(np.float32), "i": rng.integers(0, 7, (ticks, 1))}


def with_examples(graph: StepGraph, data: dict[str, NDArray[np.generic]]) -> StepGraph:
    """The graph itself, which carries the data."""
    graph.hold_examples([{name: array[tick] for name, array in data.items()} for tick in range(len(data["i"]))])
    return graph


def notes(quantised: QuantisedGraph) -> dict[str, str]:
    """The reason of each weight."""
    return {choice.name: choice.reason for choice in quantised.weights.choices}


def drift(graph: StepGraph, quantised: QuantisedGraph) -> float:
    """How far quantising takes the outputs on data that is not among the examples."""
    data = inputs(200, seed=2)
    return float(np.square(step_through(graph, data)[0]["y"] - step_through(quantised.graph, data)[0]["y"]).mean())


def test_examples_make_int4_lose_less() -> None:
    """On other data of the same kind the outputs are a third nearer; what no product reads has the nearest integers."""
    plain = two_matrices()
    nearest = quantise(plain, "int4")
    rounded = quantise(with_examples(two_matrices(), inputs(TICKS)), "int4")
    assert {choice.examples for choice in nearest.weights.choices} == {0}
    assert {choice.name: choice.examples for choice in rounded.weights.choices} == {"table": 0, "W": 600, "V": 600}
    assert drift(plain, rounded) < 0.67 * drift(plain, nearest)
    assert [choice.storage.name for choice in rounded.weights.choices] == ["int4"] * 3


def test_the_same_graph_gives_the_same_weights() -> None:
    """Rounding is deterministic, and rounding what came out changes no number, with the examples still in the file."""
    graph = with_examples(two_matrices(), inputs(TICKS))
    once, twice = quantise(graph, "int4"), quantise(graph, "int4")
    assert once.graph.digest == twice.graph.digest != graph.digest
    assert once.graph.examples.keys() == graph.examples.keys()
    again = quantise(once.graph, "int4")
    for stored, kept in zip(again.weights.matrices.values(), once.weights.matrices.values(), strict=True):
        np.testing.assert_array_equal(stored.dequantise(), kept.dequantise())
    assert {choice.examples for choice in again.weights.choices} == {0}


def test_only_int4_asks_the_examples() -> None:
    """Other precisions store the nearest values, with examples or without."""
    graph = with_examples(two_matrices(), inputs(TICKS))
    for precision in ("float16", "int8", {"*": "int8", "table": "int4"}):
        quantised = quantise(graph, precision)
        assert {choice.examples for choice in quantised.weights.choices} == {0}
        assert quantised.weights.matrices.keys() == quantise(two_matrices(), precision).weights.matrices.keys()


def test_examples_that_tell_nothing_change_nothing() -> None:
    """Where the last quarter finds other integers no better than the nearest, these are kept."""
    rng = np.random.default_rng(3)
    data = inputs(300)
    # Three quarters of one kind, the last of another: what was learnt of the first is wrong of it.
    data["x"][225:] = (rng.normal(size=(75, 1, 40)) @ rng.normal(size=(40, ROWS)) * 9).astype(np.float32)
    quantised = quantise(with_examples(two_matrices(), data), "int4")
    assert (notes(quantised)["W"], quantised.weights.choices[1].examples) == ("", 0)
    kept, nearest = (found.weights.choices[1].key for found in (quantised, quantise(two_matrices(), "int4")))
    assert kept == nearest


@pytest.mark.parametrize(
    ("where", "bound", "note"),
    [
        (record_inputs, "MOST_PRODUCTS", "the step is too large to be run on the examples"),
        (record_inputs, "MOST_NUMBERS", "the step is too large to be run on the examples"),
        (round_by_examples, "MOST_ROWS", "inputs, so no examples rounded it"),
    ],
)
def test_what_is_too_large_says_so(where: object, bound: str, note: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a bound of memory or time a matrix has the nearest integers, with a word on why."""
    monkeypatch.setattr(where, bound, 50)
    quantised = quantise(with_examples(two_matrices(), inputs(TICKS)), "int4")
    assert note in notes(quantised)["W"]
    assert quantised.weights.matrices.keys() == quantise(two_matrices(), "int4").weights.matrices.keys()


def test_progress_is_told() -> None:
    """A word before the examples are stepped, and one after each factorisation."""
    said: list[str] = []
    quantise(with_examples(two_matrices(), inputs(TICKS)), "int4", said.append)
    assert said[0] == "stepping 600 examples to round 2 matrices by what they read"
    assert said[-1] == "rounded 2 of 2 matrices by the examples"
