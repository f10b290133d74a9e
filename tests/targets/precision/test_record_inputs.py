"""What matrices read is recorded as ONNX Runtime computes it, tick by tick, within bounds of memory and time."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from astroedge.errors import GraphError
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from astroedge.targets.precision import record_inputs as recording
from astroedge.targets.precision.find_matrices import FoundMatrix, find_matrices
from astroedge.targets.precision.record_inputs import record_inputs, ticks_to_record
from tests.support.graphs import build, random_inputs, step_through

TICKS = 300


def several_readers() -> StepGraph:
    """W multiplies an input, a state and, by a transposed Gemm, a sum of both; V a vector on its right."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (2, 5), "float32"), TensorSpec("u", (4,), "float32")),
        outputs=(TensorSpec("y", (2, 5), "float32"), TensorSpec("z", (3,), "float32")),
        states=(StateSpec("v", (2, 5), "float32"),),
    )
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("MatMul", ["x", "W"], ["a"]),
        helper.make_node("MatMul", ["state.v", "W"], ["b"]),
        helper.make_node("Add", ["x", "state.v"], ["sum"]),
        helper.make_node("Transpose", ["sum"], ["columns"]),
        helper.make_node("Gemm", ["columns", "W"], ["c"], transA=1),
        helper.make_node("Add", ["a", "b"], ["ab"]),
        helper.make_node("Add", ["ab", "c"], ["abc"]),
        helper.make_node("Tanh", ["abc"], ["y"]),
        helper.make_node("Identity", ["y"], ["next.v"]),
        helper.make_node("MatMul", ["V", "u"], ["z"]),
    ]
    constants = {
        "W": rng.normal(size=(5, 5)).astype(np.float32),
        "V": rng.normal(size=(3, 4)).astype(np.float32),
    }
    graph = build("several", spec, nodes, constants)
    data = random_inputs(graph, TICKS)
    graph.hold_examples([{name: array[tick] for name, array in data.items()} for tick in range(TICKS)])
    return graph


def matrices(graph: StepGraph) -> dict[str, FoundMatrix]:
    """The matrices of a graph by name."""
    return {matrix.name: matrix for matrix in find_matrices(graph.model)}


def test_all_that_a_matrix_multiplies_is_recorded() -> None:
    """Inputs, states and values inside, a product a row, those of a tick together, as the graph computes them."""
    graph = several_readers()
    found = matrices(graph)
    recorded = record_inputs(graph, found.values(), TICKS)
    data = random_inputs(graph, TICKS)
    seen, _ = step_through(graph, data, ["columns"])
    states = np.concatenate([np.zeros((1, 2, 5), np.float32), seen["y"][:-1]])
    inputs = recorded.of(found["W"])
    assert inputs.shape == (TICKS * 6, 5)
    expected = np.concatenate([data["x"], states, seen["columns"].swapaxes(1, 2)], axis=1).reshape(-1, 5)
    np.testing.assert_allclose(inputs, expected, atol=1e-5)
    np.testing.assert_array_equal(recorded.of(found["V"]), data["u"])


def test_recording_is_the_same_every_time() -> None:
    """So the same graph is rounded to the same integers."""
    graph = several_readers()
    found = matrices(graph)
    first, second = (record_inputs(graph, found.values(), TICKS).values for _ in range(2))
    assert {name: array.tobytes() for name, array in first.items()} == {
        name: array.tobytes() for name, array in second.items()
    }


def test_memory_and_time_bound_the_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many ticks are stepped as fit; where they are fewer than 256, none."""
    graph = several_readers()
    found = list(matrices(graph).values())
    assert ticks_to_record(graph, found, TICKS) == TICKS
    monkeypatch.setattr(recording, "MOST_NUMBERS", 260 * (10 + 10 + 10 + 4) + 1)
    assert ticks_to_record(graph, found, TICKS) == 260
    monkeypatch.setattr(recording, "MOST_PRODUCTS", 255 * (3 * 10 * 5 + 4 * 3))
    assert ticks_to_record(graph, found, TICKS) == 0


def test_examples_that_the_step_is_not_made_for_are_told() -> None:
    """An index outside its table, which only an edited file holds, is an error of one line."""
    spec = StepSpec(
        inputs=(TensorSpec("i", (1,), "int64"),),
        outputs=(TensorSpec("y", (1, 3), "float32"),),
        states=(StateSpec("v", (1, 3), "float32"),),
    )
    nodes = [
        helper.make_node("Gather", ["table", "i"], ["row"]),
        helper.make_node("MatMul", ["row", "W"], ["product"]),
        helper.make_node("Add", ["product", "state.v"], ["y"]),
        helper.make_node("Identity", ["y"], ["next.v"]),
    ]
    constants = {"table": np.ones((4, 6), np.float32), "W": np.ones((6, 3), np.float32)}
    graph = build("table", spec, nodes, constants)
    graph.hold_examples([{"i": np.array([9])}] * TICKS)
    with pytest.raises(GraphError, match="cannot step the graph on the examples that it carries"):
        record_inputs(graph, [matrices(graph)["W"]], TICKS)
