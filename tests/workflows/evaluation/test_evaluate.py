"""A PyTorch model, its graph and bundles of it, scored side by side."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import astroedge
from astroedge.errors import BundleError, GraphError, InputError
from astroedge.step.graph import StepGraph
from astroedge.workflows.evaluation.evaluate import evaluate
from astroedge.workflows.export_model import export_model
from tests.support import graphs
from tests.support.builds import build

MODEL = """
import torch
from torch import nn

class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.inputs, self.outputs = nn.Linear(12, 30), nn.Linear(30, 5, bias=False)
        self.register_buffer("v", torch.zeros(1, 30))

    def forward(self, x):
        membrane = 0.875 * self.v + self.inputs(x)
        spikes = (membrane >= 0.5).to(x.dtype)
        self.v = membrane - spikes
        return self.outputs(spikes)

def make():
    return Counter().eval(), (torch.rand(1, 12),)
"""
SEQUENCES, TICKS = 12, 25


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with hidden state, its graph, bundles of it in two precisions, and labels that the model itself gives."""
    place = tmp_path_factory.mktemp("evaluate")
    (place / "counter.py").write_text(MODEL)
    graph = export_model(f"{place / 'counter.py'}:make")
    graph.save(place / "net.onnx")
    for precision in ("float32", "int8"):
        astroedge.compile(graph, precision=precision).save(place / f"net-{precision}.astro")
    rng = np.random.default_rng(0)
    chosen = 3 * (rng.random((SEQUENCES, 1, 1, 12)) < 0.3)  # the inputs that are active in a sequence
    data = (chosen * rng.random((SEQUENCES, TICKS, 1, 12))).astype(np.float32)
    np.save(place / "x.npy", data)
    scores = [graphs.step_through(graph, {"x": sequence})[0]["y"] for sequence in data]
    np.save(place / "classes.npy", [item.sum(axis=(0, 1)).argmax() for item in scores])
    np.save(place / "ticks.npy", [item[:, 0].argmax(axis=1) for item in scores])
    return place


def test_all_precisions_and_their_sources_are_side_by_side(folder: Path) -> None:
    """The labels are the float32 graph's own answers: it, the model and the float32 bundle are always right."""
    bundles = [folder / "net-float32.astro", folder / "net-int8.astro"]
    found = evaluate(
        bundles,
        folder / "x.npy",
        folder / "classes.npy",
        graph=folder / "net.onnx",
        model=f"{folder / 'counter.py'}:make",
    )
    assert [item.name for item in found.contenders] == [
        "PyTorch",
        "ONNX Runtime",
        "net-float32.astro",
        "net-int8.astro",
    ]
    assert [item.metrics["accuracy"] for item in found.contenders[:3]] == [1.0, 1.0, 1.0]
    assert len(np.unique(np.load(folder / "classes.npy"))) > 1
    assert (found.unit, found.counted) == ("sequence", SEQUENCES)
    small = found.contenders[3]
    assert small.precision == "int8"
    assert small.weights_bytes is not None
    assert small.float32_bytes is not None
    assert small.weights_bytes < small.float32_bytes
    assert json.loads(json.dumps(found.to_json()))["contenders"][3]["metrics"] == small.metrics


def test_bits_of_every_contender_are_compared_with_the_first(folder: Path) -> None:
    """Without a reference the first bundle is what the others are compared with."""
    found = evaluate([folder / "net-float32.astro", folder / "net-int8.astro"], folder / "x.npy", folder / "ticks.npy")
    plain, small = found.contenders
    assert found.counted == SEQUENCES * TICKS
    assert plain.metrics["accuracy"] == 1.0
    assert 0 < plain.metrics["bits per tick"] < np.log2(5) + 1
    assert found.change(plain, "bits per tick") == 0
    relative = small.metrics["bits per tick"] / plain.metrics["bits per tick"] - 1
    assert found.change(small, "bits per tick") == pytest.approx(relative)
    assert 0 < abs(relative) < 0.05
    assert found.change(small, "accuracy") == pytest.approx(small.metrics["accuracy"] - 1)


def test_bits_per_byte_of_a_text_are_those_of_its_logits(tmp_path: Path) -> None:
    """A byte-level bundle gives what cross-entropy in ONNX Runtime gives."""
    graph = graphs.token_net(256)
    graph.save(tmp_path / "lm.onnx")
    build(graph).save(tmp_path / "lm.astro")
    text = bytes(np.random.default_rng(1).integers(0, 256, 300).astype(np.uint8))
    (tmp_path / "text").write_bytes(text)
    found = evaluate([tmp_path / "lm.astro"], tmp_path / "text", graph=tmp_path / "lm.onnx")
    tokens = np.frombuffer(b"\n" + text[:-1], np.uint8).astype(np.int64)[:, None]
    logits = graphs.step_through(graph, {"token": tokens})[0]["logits"][:, 0].astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    bits = -np.log2(probabilities[np.arange(300), np.frombuffer(text, np.uint8)]).mean()
    assert [item.metrics["bits per byte"] for item in found.contenders] == pytest.approx([bits, bits])


def test_a_bundle_of_another_graph_is_marked(folder: Path, tmp_path: Path) -> None:
    """It is scored, and the line says that the difference is not what precision costs."""
    graph = StepGraph.load(folder / "net.onnx")
    other = StepGraph(graph.model, replace(graph.spec, source={"framework": "another"}))
    build(other).save(tmp_path / "other.astro")
    found = evaluate(
        [folder / "net-int8.astro", tmp_path / "other.astro"],
        folder / "x.npy",
        folder / "classes.npy",
        graph=folder / "net.onnx",
    )
    assert [item.note for item in found.contenders] == ["", "", "compiled from another graph"]


def test_bundles_of_different_steps_are_refused(folder: Path, tmp_path: Path) -> None:
    """One file of data cannot serve two models; and what is missing is named."""
    build(graphs.lif_layer()).save(tmp_path / "lif.astro")
    arguments = (folder / "x.npy", folder / "classes.npy")
    with pytest.raises(InputError, match=r"lif\.astro takes other inputs than"):
        evaluate([folder / "net-int8.astro", tmp_path / "lif.astro"], *arguments)
    with pytest.raises(BundleError, match=r"none\.astro"):
        evaluate([tmp_path / "none.astro"], *arguments)
    with pytest.raises(GraphError, match=r"none\.onnx"):
        evaluate([folder / "net-int8.astro"], *arguments, graph=tmp_path / "none.onnx")
