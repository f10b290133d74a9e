"""The step graph file: what it keeps, and that its hard cases step rightly in ONNX Runtime."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from astroedge.errors import GraphError
from astroedge.step.graph import METADATA_KEY, StepGraph
from tests.support import graphs
from tests.support.places import ROOT

SCHEMA = json.loads((ROOT / "astroedge" / "schemas" / "step.schema.json").read_text())

Builder = Callable[[], StepGraph]


@pytest.mark.parametrize("builder", graphs.ALL)
def test_load_gives_back_what_was_saved(builder: Builder, tmp_path: Path) -> None:
    """Spec, initial values, name and digest survive a round trip through a file."""
    graph = builder()
    graph.save(tmp_path / "net.onnx")
    loaded = StepGraph.load(tmp_path / "net.onnx")
    assert (loaded.spec, loaded.name, loaded.digest) == (graph.spec, graph.name, graph.digest)
    initial = graph.initial_state()
    assert all(np.array_equal(value, initial[name]) for name, value in loaded.initial_state().items())


@pytest.mark.parametrize("builder", graphs.ALL)
def test_metadata_satisfies_the_schema(builder: Builder) -> None:
    """The description inside the file is valid by the schema in the repository."""
    entry = next(item for item in builder().model.metadata_props if item.key == METADATA_KEY)
    jsonschema.validate(json.loads(entry.value), SCHEMA)


def test_digest_is_that_of_the_file(tmp_path: Path) -> None:
    """`digest` is what sha256sum prints for the saved file."""
    graph = graphs.recurrent_net()
    graph.save(tmp_path / "net.onnx")
    assert graph.digest == hashlib.sha256((tmp_path / "net.onnx").read_bytes()).hexdigest()


def test_same_graph_gives_same_bytes_in_another_process() -> None:
    """Two processes with different hash seeds write the same bytes."""
    code = "from tests.support import graphs; print(graphs.recurrent_net().digest)"
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_saving_replaces_the_old_file_whole(tmp_path: Path) -> None:
    """Saving over a file leaves the new graph and nothing else in the folder."""
    path = tmp_path / "net.onnx"
    graphs.swap().save(path)
    graphs.lif_layer().save(path)
    assert StepGraph.load(path).name == "lif_layer"
    assert os.listdir(tmp_path) == ["net.onnx"]


def test_failed_save_keeps_the_old_file(tmp_path: Path) -> None:
    """A graph that cannot be written is a GraphError, and what was there stays."""
    (tmp_path / "net.onnx").mkdir()
    with pytest.raises(GraphError, match="Cannot write"):
        graphs.swap().save(tmp_path / "net.onnx")
    assert os.listdir(tmp_path) == ["net.onnx"]


def test_initial_state_is_fresh_every_time() -> None:
    """Changing an initial state does not change the next one; a stored tensor and a fill both come back."""
    graph = graphs.identity_next()
    first = graph.initial_state()
    first["gain"] += 1
    first["total"] += 1
    second = graph.initial_state()
    assert second["gain"].tolist() == [[0.25, 0.5, 0.75, 1.0]]
    assert second["total"].tolist() == [[0.0] * 4]


def test_swap_exchanges_both_states_every_tick() -> None:
    """Two states that take each other's value do so at once, not one after the other."""
    outputs, state = graphs.step_through(graphs.swap(width=1), {"x": np.zeros((3, 1, 1), np.float32)})
    assert outputs["y"].ravel().tolist() == [2.0, -2.0, 2.0]
    assert (state["a"].item(), state["b"].item()) == (-1.0, 1.0)


def test_shift_register_delays_by_its_length() -> None:
    """What goes in comes out three ticks later."""
    x = np.arange(1, 7, dtype=np.float32).reshape(6, 1, 1)
    outputs, _ = graphs.step_through(graphs.shift_register(width=1), {"x": x})
    assert outputs["y"].ravel().tolist() == [0, 0, 0, 1, 2, 3]


def test_identity_next_keeps_its_initial_value() -> None:
    """A state whose next value is itself stays what it was, and its neighbour accumulates with it."""
    _, state = graphs.step_through(graphs.identity_next(), {"x": np.ones((8, 1, 4), np.float32)})
    assert state["gain"].tolist() == [[0.25, 0.5, 0.75, 1.0]]
    assert state["total"].tolist() == [[2.0, 4.0, 6.0, 8.0]]


def test_shared_next_feeds_two_states() -> None:
    """One tensor becomes both next states although they start differently."""
    outputs, state = graphs.step_through(graphs.shared_next(width=1), {"x": np.ones((2, 1, 1), np.float32)})
    assert outputs["y"].ravel().tolist() == [2.0 - 1.0, 1.0 - 1.875]
    assert state["a"] == state["b"] == 1.875


def test_state_as_output_shows_old_and_new_value() -> None:
    """A state's old and new value and an input passed through are outputs beside the states they belong to."""
    outputs, state = graphs.step_through(graphs.state_as_output(width=1), {"x": np.full((3, 1, 1), 8, np.float32)})
    assert outputs["before"].ravel().tolist() == [0.0, 0.0, 8.0]
    assert outputs["y"].ravel().tolist() == [0.0, 8.0, 15.0]
    assert outputs["same"].ravel().tolist() == [8.0] * 3
    assert (state["v"].item(), state["last"].item()) == (15.0, 8.0)


@pytest.mark.parametrize("builder", [graphs.lif_layer, graphs.recurrent_net, graphs.token_net])
def test_networks_fire_on_their_random_inputs(builder: Builder) -> None:
    """The spiking graphs that other tests build on are neither silent nor saturated."""
    graph = builder()
    names = [spikes.tensor for spikes in graph.spec.spikes]
    fired, _ = graphs.step_through(graph, graphs.random_inputs(graph, 60), names)
    rates = {name: float(fired[name].mean()) for name in names}
    assert all(0.01 < rate < 0.6 for rate in rates.values()), rates
