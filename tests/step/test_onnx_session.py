"""Opening ONNX Runtime: small and large models, inner values, what it refuses."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from astroedge.exporters.parity import firing_rates
from astroedge.runtimes.checking.reference import ReferenceSession
from astroedge.step import onnx_file
from astroedge.step.graph import StepGraph
from astroedge.step.onnx_session import open_session
from tests.support import graphs


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StepGraph:
    """A graph that counts as too large for one message, and an empty folder for temporary files."""
    monkeypatch.setattr(onnx_file, "EXTERNAL_LIMIT", 2000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return graphs.recurrent_net()


def test_large_graph_opens_for_export_and_as_reference(
    large: StepGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both sessions of a graph with outside weights give the values of the small one, and leave no file behind.

    Weights that are read where they lie are added up in another order than those laid out anew.
    """
    reference, export = ReferenceSession(large), firing_rates.open_session(large.model)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    small, data = ReferenceSession(large), graphs.random_inputs(large, 20)["x"]
    state = large.initial_state()
    for x in data:
        wanted = small.step(x=x)
        np.testing.assert_allclose(reference.step(x=x)["y"], wanted["y"], atol=1e-6)
        values = firing_rates.run(export, {"x": x}, state)
        np.testing.assert_allclose(values["y"], wanted["y"], atol=1e-6)
        state = {name: values[f"next.{name}"] for name in state}
        for name, value in state.items():
            np.testing.assert_allclose(value, small.states[name], atol=1e-5)


def test_large_graph_goes_through_a_file(large: StepGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a folder for temporary files only a graph within the limit can be opened."""
    tmp_path.rmdir()
    with pytest.raises(FileNotFoundError):
        open_session(large.model)
    monkeypatch.setattr(onnx_file, "EXTERNAL_LIMIT", 1_000_000)
    assert open_session(large.model).get_inputs()[0].name == "x"


def test_inner_values_come_out_and_the_model_stays() -> None:
    """Values asked for are further outputs, each once, after the model's own; the model is not changed."""
    graph = graphs.lif_layer()
    digest, own = graph.digest, [item.name for item in graph.model.graph.output]
    spike = graph.spec.spikes[0].tensor
    session = open_session(graph.model, [spike, own[0], spike])
    assert [item.name for item in session.get_outputs()] == [*own, spike]
    assert graph.digest == digest


@pytest.mark.parametrize("deterministic", [False, True])
def test_threads_and_determinism_are_what_is_asked_for(deterministic: bool) -> None:
    """A session has as many threads for an operator as asked for, one for operators beside each other."""
    session = open_session(graphs.lif_layer().model, threads=2, deterministic=deterministic)
    options = session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    assert options.use_deterministic_compute is deterministic


def test_dequantised_weights_are_multiplied_as_the_graph_says() -> None:
    """A product with weights behind DequantizeLinear keeps its activations in float32, as ONNX defines it."""
    rng = np.random.default_rng(0)
    stored, x = rng.integers(-127, 127, (64, 32)).astype(np.int8), rng.standard_normal((1, 64)).astype(np.float32)
    scale = np.float32(0.01)
    graph = helper.make_graph(
        [helper.make_node("DequantizeLinear", ["q", "s"], ["W"]), helper.make_node("MatMul", ["x", "W"], ["y"])],
        "quantised",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 32])],
        [numpy_helper.from_array(stored, "q"), numpy_helper.from_array(scale, "s")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    y = open_session(model).run(["y"], {"x": x})[0]
    np.testing.assert_allclose(y, x.astype(np.float64) @ (stored * np.float64(scale)), atol=1e-5)


def test_what_onnx_runtime_refuses_is_its_own_error() -> None:
    """Who opens a session says what a refusal means; here it stays as ONNX Runtime raised it."""
    model = graphs.lif_layer().model
    model.graph.node.append(helper.make_node("NoSuchOperator", ["x"], ["z"]))
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidGraph, match="NoSuchOperator"):
        open_session(model)
