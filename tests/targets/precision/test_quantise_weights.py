"""Only the bytes of weight matrices change, exactly as they will be stored, and why not where they stay."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from astroedge.errors import CompileError
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from astroedge.targets import quantise
from astroedge.targets.precision.storage import STORAGES
from astroedge.targets.precision.weight_format import store
from tests.support import graphs

LOSSY = [word for word, storage in STORAGES.items() if not storage.is_plain]


def with_weight(name: str, change: Callable[[np.ndarray], np.ndarray]) -> StepGraph:
    """The token net with one weight changed."""
    graph = graphs.token_net(vocabulary=90, width=70)
    for tensor in graph.model.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor).copy()), name))
    return StepGraph(graph.model, graph.spec)


def weights(graph: StepGraph) -> dict[str, np.ndarray]:
    """Every initialiser by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.model.graph.initializer}


def irregular() -> StepGraph:
    """The token net with weights that no precision but float32 holds."""
    rng = np.random.default_rng(3)
    return with_weight("embedding", lambda array: rng.normal(size=array.shape).astype(np.float32))


@pytest.mark.parametrize("precision", LOSSY)
def test_a_matrix_becomes_what_it_is_stored_as(precision: str) -> None:
    """The dequantised graph has `store(W).dequantise()` the right way round, and everything else untouched."""
    graph = irregular()
    before = weights(graph)
    quantised = quantise(graph, precision)
    after = weights(quantised.graph)
    np.testing.assert_array_equal(after["embedding"], store(before["embedding"].T, STORAGES[precision]).dequantise().T)
    np.testing.assert_array_equal(after["W_out"], store(before["W_out"], STORAGES[precision]).dequantise())
    assert all(np.array_equal(after[name], before[name]) for name in before.keys() - {"embedding", "W_out"})
    assert quantised.graph.model.graph.node == graph.model.graph.node
    assert not np.array_equal(after["embedding"], before["embedding"])
    assert np.array_equal(weights(graph)["embedding"], before["embedding"])


@pytest.mark.parametrize("precision", LOSSY)
def test_quantising_again_changes_nothing(precision: str) -> None:
    """So the saved dequantised graph gives the very weights that it stands for."""
    once = quantise(irregular(), precision)
    twice = quantise(once.graph, precision)
    assert twice.graph.digest == once.graph.digest
    assert twice.weights.matrices.keys() == once.weights.matrices.keys()
    for key, stored in once.weights.matrices.items():
        again = twice.weights.matrices[key]
        np.testing.assert_array_equal(again.values, stored.values)
        np.testing.assert_array_equal(again.scales, stored.scales)


def test_a_matrix_is_found_again_by_its_numbers() -> None:
    """Renamed, transposed and copied weights are recognised; others are not."""
    quantised = quantise(irregular(), "int8")
    after = weights(quantised.graph)
    found = quantised.weights.find(np.asfortranarray(after["embedding"].T))
    assert found is not None
    assert found[1].storage.name == "int8"
    assert quantised.weights.find(after["embedding"]) is None
    assert quantised.weights.find(after["embedding"].T + 1) is None


def test_precisions_can_differ_between_weights() -> None:
    """Each weight has the precision of the last pattern that matches its name."""
    quantised = quantise(graphs.token_net(), {"*": "int4", "W_*": "int8"})
    assert {choice.name: choice.storage.name for choice in quantised.weights.choices} == {
        "embedding": "int4",
        "W_out": "int8",
    }
    assert quantised.weights.precision == "int4, W_*=int8"
    with pytest.raises(CompileError, match=r"heads=int8 matches no weight.*embedding, W_out"):
        quantise(graphs.token_net(), "heads=int8")


def test_float32_is_the_graph_itself() -> None:
    """Nothing is copied, and nothing has a digest of its own."""
    graph = graphs.token_net()
    quantised = quantise(graph, "float32")
    assert quantised.graph is graph
    assert (quantised.weights.source_sha256, quantised.weights.precision) == (None, "float32")
    assert [choice.reason for choice in quantised.weights.choices] == ["", ""]


@pytest.mark.parametrize(
    ("change", "precision", "reason"),
    [
        (lambda w: np.where(w == w.max(), np.inf, w).astype(np.float32), "int8", "an infinity or a NaN"),
        (lambda w: np.where(w == w.max(), 1e6, w).astype(np.float32), "float16", "that float16 cannot"),
        (lambda w: np.sqrt(np.abs(w)).astype(np.float32), "int8", ""),
    ],
)
def test_a_matrix_that_cannot_be_stored_says_why(
    change: Callable[[np.ndarray], np.ndarray], precision: str, reason: str
) -> None:
    """It stays float32, with its bytes, and the others are quantised all the same."""
    graph = with_weight("W_out", change)
    quantised = quantise(graph, precision)
    choices = {choice.name: choice for choice in quantised.weights.choices}
    assert choices["embedding"].storage.name == precision
    assert choices["W_out"].storage.name == ("float32" if reason else precision)
    assert reason in choices["W_out"].reason
    same = np.array_equal(weights(quantised.graph)["W_out"], weights(graph)["W_out"])
    assert same == (reason != "")


@pytest.mark.parametrize(("precision", "kept"), [("float16", "float16"), ("int8", "int8"), ("int4", "int8")])
def test_a_convolution_has_a_scale_for_each_output(precision: str, kept: str) -> None:
    """Its taps are the inputs of a matrix; int4 is stored as int8, and the choice says so."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, 3, 8, 8), "float32"),),
        outputs=(TensorSpec("y", (1, 5, 6, 6), "float32"),),
        states=(),
    )
    kernel = np.random.default_rng(2).normal(size=(5, 3, 3, 3)).astype(np.float32)
    graph = graphs.build("image", spec, [helper.make_node("Conv", ["x", "W"], ["y"])], {"W": kernel})
    quantised = quantise(graph, precision)
    (choice,) = quantised.weights.choices
    assert (choice.rows, choice.columns, choice.storage.name) == (27, 5, kept)
    assert ("int4 was asked for" in choice.reason) == (precision == "int4")
    stored = store(np.ascontiguousarray(kernel.reshape(5, 27).T), STORAGES[kept]).dequantise()
    np.testing.assert_array_equal(weights(quantised.graph)["W"], stored.T.reshape(kernel.shape))
    assert set(quantised.weights.matrices) == {choice.key}


def test_a_matrix_of_one_input_keeps_its_weights() -> None:
    """A scale for every weight would be larger than the weights."""
    quantised = quantise(graphs.lif_layer(inputs=1, neurons=8), "int8")
    assert [choice.storage.name for choice in quantised.weights.choices] == ["float32"]
    assert "scales" in quantised.weights.choices[0].reason
    assert quantised.weights.precision == "float32"


@pytest.mark.parametrize("precision", STORAGES)
def test_half_precision_graphs_store_their_weights_so_or_as_they_were(precision: str) -> None:
    """float16 holds the weights of a float16 graph without loss; integers times a scale it would round."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, 12), "float16"),),
        outputs=(TensorSpec("y", (1, 20), "float16"),),
        states=(StateSpec("v", (1, 20), "float16"),),
    )
    nodes = [
        onnx.helper.make_node("MatMul", ["x", "W"], ["xW"]),
        onnx.helper.make_node("Add", ["xW", "state.v"], ["y"]),
    ]
    nodes.append(onnx.helper.make_node("Identity", ["y"], ["next.v"]))
    constants = {"W": np.random.default_rng(0).normal(size=(12, 20)).astype(np.float16)}
    graph = graphs.build("half", spec, nodes, constants)
    quantised = quantise(graph, precision)
    (choice,) = quantised.weights.choices
    assert choice.storage.name == ("float16" if precision == "float16" else "float32")
    assert ("the graph has it in float16" in choice.reason) == (precision in ("int8", "int4"))
    np.testing.assert_array_equal(weights(quantised.graph)["W"], constants["W"])
    assert (quantised.weights.find(constants["W"].astype(np.float32)) is not None) == (precision == "float16")
