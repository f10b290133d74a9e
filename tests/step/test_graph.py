"""The step graph file: what it keeps, what it refuses, and that its hard cases step rightly in ONNX Runtime."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from astroedge.errors import GraphError
from astroedge.step import onnx_file
from astroedge.step.graph import METADATA_KEY, StepGraph
from astroedge.step.spec import SpikeSpec, StateSpec, StepSpec, TensorSpec
from tests.support import graphs
from tests.support.places import ROOT

SCHEMA = json.loads((ROOT / "astroedge" / "schemas" / "step.schema.json").read_text())
Builder = Callable[[], StepGraph]


def edited(graph: StepGraph, edit: Callable[[onnx.ModelProto], object], path: Path) -> Path:
    """A file of `graph` after another tool changed it."""
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    edit(model)
    path.write_bytes(model.SerializeToString())
    return path


def with_record(graph: StepGraph, change: Callable[[dict[str, object]], object], path: Path) -> Path:
    """A file of `graph` whose step description was changed."""

    def edit(model: onnx.ModelProto) -> None:
        entry = next(item for item in model.metadata_props if item.key == METADATA_KEY)
        record = json.loads(entry.value)
        change(record)
        entry.value = json.dumps(record)

    return edited(graph, edit, path)


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


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """A path without a file names it."""
    with pytest.raises(GraphError, match=r"absent\.onnx"):
        StepGraph.load(tmp_path / "absent.onnx")


@pytest.mark.parametrize("content", [b"not onnx at all", b"", b"\x08\x0a"])
def test_something_else_than_a_step_graph_is_refused(content: bytes, tmp_path: Path) -> None:
    """Text, an empty file and an ONNX file without a step description are refused."""
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(GraphError, match=r"not an ONNX file|without a step description"):
        StepGraph.load(tmp_path / "net.onnx")


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    """A file that is cut short never loads, wherever it is cut."""
    graphs.lif_layer().save(tmp_path / "whole.onnx")
    content = (tmp_path / "whole.onnx").read_bytes()
    for length in range(0, len(content) - 1, len(content) // 17):
        (tmp_path / "cut.onnx").write_bytes(content[:length])
        with pytest.raises(GraphError):
            StepGraph.load(tmp_path / "cut.onnx")


def test_unknown_version_is_refused(tmp_path: Path) -> None:
    """A graph of a later format is not read as if it were this one."""
    path = with_record(graphs.swap(), lambda record: record.update(version=2), tmp_path / "net.onnx")
    with pytest.raises(GraphError, match="version 2"):
        StepGraph.load(path)


def test_damaged_description_is_refused(tmp_path: Path) -> None:
    """Metadata that is no JSON is a GraphError."""

    def damage(model: onnx.ModelProto) -> None:
        model.metadata_props[0].value = model.metadata_props[0].value[:-5]

    with pytest.raises(GraphError, match="not JSON"):
        StepGraph.load(edited(graphs.swap(), damage, tmp_path / "net.onnx"))


def test_state_without_next_is_refused(tmp_path: Path) -> None:
    """A state whose next output is gone is named."""
    path = edited(graphs.swap(), lambda model: model.graph.output.pop(), tmp_path / "net.onnx")
    with pytest.raises(GraphError, match=r"no output 'next\.b'"):
        StepGraph.load(path)


def test_output_without_state_is_refused(tmp_path: Path) -> None:
    """An output that the description doesn't know is named."""
    path = with_record(graphs.swap(), lambda record: record["states"].pop(), tmp_path / "net.onnx")  # type: ignore[attr-defined]
    with pytest.raises(GraphError, match=r"'state\.b' is not in its step description"):
        StepGraph.load(path)


def test_pair_of_different_shapes_is_refused(tmp_path: Path) -> None:
    """A next value with another shape than its state is refused, with both shapes."""

    def widen(model: onnx.ModelProto) -> None:
        model.graph.output[1].type.tensor_type.shape.dim[1].dim_value = 6

    with pytest.raises(GraphError, match=r"'next\.a' is float32 \[1, 6\].*float32 \[1, 5\]"):
        StepGraph.load(edited(graphs.swap(), widen, tmp_path / "net.onnx"))


def test_pair_of_different_dtypes_is_refused(tmp_path: Path) -> None:
    """A next value with another dtype than its state is refused."""

    def retype(model: onnx.ModelProto) -> None:
        model.graph.output[1].type.tensor_type.elem_type = TensorProto.FLOAT16

    with pytest.raises(GraphError, match="float16"):
        StepGraph.load(edited(graphs.swap(), retype, tmp_path / "net.onnx"))


def test_shape_that_the_nodes_do_not_give_is_refused(tmp_path: Path) -> None:
    """Declared shapes are checked against what the operators compute, not against each other only."""

    def shrink(model: onnx.ModelProto) -> None:
        weights = next(tensor for tensor in model.graph.initializer if tensor.name == "W")
        weights.CopyFrom(numpy_helper.from_array(np.zeros((24, 39), np.float32), "W"))

    with pytest.raises(GraphError, match="not valid ONNX"):
        StepGraph.load(edited(graphs.lif_layer(), shrink, tmp_path / "net.onnx"))


def test_swapped_order_of_states_is_refused(tmp_path: Path) -> None:
    """States pair by position, so outputs in another order than inputs are refused."""

    def swap(model: onnx.ModelProto) -> None:
        first, second = model.graph.output[1], model.graph.output[2]
        first.name, second.name = second.name, first.name

    with pytest.raises(GraphError, match="out of order"):
        StepGraph.load(edited(graphs.swap(), swap, tmp_path / "net.onnx"))


def test_open_dimension_is_refused(tmp_path: Path) -> None:
    """A graph whose batch is a symbol is refused: a step has fixed shapes."""

    def open_batch(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"

    with pytest.raises(GraphError, match="'x'"):
        StepGraph.load(edited(graphs.swap(), open_batch, tmp_path / "net.onnx"))


def test_unread_state_is_refused() -> None:
    """A state that is written but never read is an error with its name."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1,), "float32"),),
        outputs=(TensorSpec("y", (1,), "float32"),),
        states=(StateSpec("v", (1,), "float32"),),
    )
    nodes = [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("Identity", ["x"], ["next.v"])]
    with pytest.raises(GraphError, match=r"'v' is never read"):
        graphs.build("unread", spec, nodes)


def test_state_read_only_by_dead_nodes_counts_as_unread() -> None:
    """Reading a state for a value that nothing uses does not make it state."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1,), "float32"),),
        outputs=(TensorSpec("y", (1,), "float32"),),
        states=(StateSpec("v", (1,), "float32"),),
    )
    nodes = [
        helper.make_node("Neg", ["state.v"], ["unused"]),
        helper.make_node("Identity", ["x"], ["y"]),
        helper.make_node("Identity", ["x"], ["next.v"]),
    ]
    with pytest.raises(GraphError, match=r"'v' is never read"):
        graphs.build("dead", spec, nodes)


def test_missing_initial_tensor_is_refused(tmp_path: Path) -> None:
    """A stored initial value that is gone is named."""

    def drop(model: onnx.ModelProto) -> None:
        kept = [tensor for tensor in model.graph.initializer if not tensor.name.startswith("initial.")]
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)

    with pytest.raises(GraphError, match=r"initial\.gain"):
        StepGraph.load(edited(graphs.identity_next(), drop, tmp_path / "net.onnx"))


@pytest.mark.parametrize(("dtype", "initial"), [("int32", 0.5), ("int8", 300.0), ("bool", 2.0), ("float16", 1e30)])
def test_initial_value_that_the_dtype_cannot_hold_is_refused(dtype: str, initial: float) -> None:
    """A fill is exact in its state's dtype or refused."""
    spec = StepSpec(
        inputs=(),
        outputs=(TensorSpec("y", (1,), dtype),),
        states=(StateSpec("v", (1,), dtype, initial=initial),),
    )
    nodes = [helper.make_node("Identity", ["state.v"], [name]) for name in ("y", "next.v")]
    with pytest.raises(GraphError, match="cannot hold"):
        graphs.build("fill", spec, nodes)


@pytest.mark.parametrize("initial", [float("inf"), float("nan"), -1e30])
def test_unusual_initial_values_are_kept(initial: float) -> None:
    """Infinity, NaN and RWKV's −1e30 are initial values like any other."""
    spec = StepSpec(
        inputs=(),
        outputs=(TensorSpec("y", (2,), "float32"),),
        states=(StateSpec("v", (2,), "float32", initial=initial),),
    )
    nodes = [helper.make_node("Identity", ["state.v"], [name]) for name in ("y", "next.v")]
    value = graphs.build("fill", spec, nodes).initial_state()["v"]
    assert np.array_equal(value, np.full(2, initial, np.float32), equal_nan=True)


def test_unknown_spike_tensor_is_refused() -> None:
    """A spike tensor that the graph lacks is named."""
    graph = graphs.lif_layer()
    spec = replace(graph.spec, spikes=(SpikeSpec("lif.spike", "nowhere", (1, 40), 0.1),))
    with pytest.raises(GraphError, match="'nowhere'"):
        StepGraph(graph.model, spec)


@pytest.mark.parametrize("name", ["state.x", "next.x", "initial.x"])
def test_data_named_like_a_state_is_refused(name: str) -> None:
    """The prefixes of states are reserved."""
    spec = StepSpec(inputs=(TensorSpec(name, (1,), "float32"),), outputs=(TensorSpec("y", (1,), "float32"),), states=())
    with pytest.raises(GraphError, match="named like a state"):
        graphs.build("prefix", spec, [helper.make_node("Identity", [name], ["y"])])


@pytest.fixture
def external(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A saved graph whose weights went to a data file, because the limit was lowered to 2 kB."""
    monkeypatch.setattr(onnx_file, "EXTERNAL_LIMIT", 2000)
    graphs.recurrent_net().save(tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def test_large_weights_go_to_a_file_named_by_content(external: Path) -> None:
    """Weights beyond the limit leave the model file, and the loaded graph is the same graph with the same digest."""
    data = next(external.parent.glob("weights-*.bin"))
    assert data.stem == f"weights-{hashlib.sha256(data.read_bytes()).hexdigest()[:16]}"
    loaded = StepGraph.load(external)
    assert loaded.model.graph.initializer == graphs.recurrent_net().model.graph.initializer
    assert loaded.digest == hashlib.sha256(external.read_bytes()).hexdigest()


def test_large_file_runs_in_onnx_runtime_as_it_is(external: Path) -> None:
    """The file with external data is ordinary ONNX that other tools open by its path."""
    session = onnxruntime.InferenceSession(external, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].name == "x"


def test_missing_data_file_is_refused(external: Path) -> None:
    """Without its data file a graph does not load, and the file is named."""
    next(external.parent.glob("weights-*.bin")).unlink()
    with pytest.raises(GraphError, match="weights-"):
        StepGraph.load(external)


def test_flipped_byte_in_the_data_file_is_refused(external: Path) -> None:
    """A damaged data file is found by its digest."""
    path = next(external.parent.glob("weights-*.bin"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(GraphError, match="damaged"):
        StepGraph.load(external)


def test_short_data_file_is_refused(external: Path) -> None:
    """A data file that ends too early is found before its digest is compared."""
    path = next(external.parent.glob("weights-*.bin"))
    path.write_bytes(path.read_bytes()[:64])
    with pytest.raises(GraphError, match="ends before"):
        StepGraph.load(external)


def test_link_in_place_of_the_data_file_is_refused(external: Path) -> None:
    """A data file must be a plain file in the folder, not a link to somewhere else."""
    path = next(external.parent.glob("weights-*.bin"))
    moved = path.rename(external.parent / "elsewhere.bin")
    path.symlink_to(moved)
    with pytest.raises(GraphError, match="link"):
        StepGraph.load(external)


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "a/../../secret.bin", "", "..\\secret.bin"])
def test_data_outside_the_folder_is_refused(location: str, external: Path) -> None:
    """External data may not point out of the folder, however the path is written."""
    (external.parent.parent / "secret.bin").write_bytes(bytes(100_000))
    model = onnx.load(external, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    external.write_bytes(model.SerializeToString())
    with pytest.raises(GraphError, match="outside the graph's folder"):
        StepGraph.load(external)
