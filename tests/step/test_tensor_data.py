"""Large weights are no part of a message: they are read where their file is mapped, as long as somebody holds them."""

from __future__ import annotations

import gc
import pickle
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from astroedge.errors import GraphError
from astroedge.runtimes.checking.reference import ReferenceSession
from astroedge.step import onnx_file
from astroedge.step.graph import StepGraph
from astroedge.step.onnx_file import move_out
from astroedge.step.tensor_data import HeldArray, array_of, bytes_of, is_reference, refer, sources_of
from tests.support import graphs


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, while graphs of over 2 kB count as large."""
    monkeypatch.setattr(onnx_file, "EXTERNAL_LIMIT", 2000)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def saved(tmp_path: Path, temporary: Path) -> Path:
    """A saved graph whose weights went to a data file."""
    graphs.recurrent_net().save(tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def test_weights_of_a_loaded_graph_are_not_in_its_message(saved: Path, temporary: Path) -> None:
    """Loading maps the data file: the message has none of the weights, and no temporary file is made of them."""
    graph, whole = StepGraph.load(saved), graphs.recurrent_net()
    assert graph.model.ByteSize() < whole.model.ByteSize() / 2
    assert list(temporary.iterdir()) == []
    large = [item for item in graph.model.graph.initializer if is_reference(item)]
    assert large
    assert not any(array_of(item).flags.writeable for item in large)


def test_a_file_cannot_name_the_weights_of_another_graph(saved: Path, tmp_path: Path) -> None:
    """A tensor whose place is a word of this process, which lets graphs in memory share weights, is refused."""
    loaded = StepGraph.load(saved)
    spoiled = onnx.load(saved, load_external_data=False)
    for tensor in spoiled.graph.initializer:
        for entry in tensor.external_data:
            entry.value = loaded.sources[0].word if entry.key == "location" else "0"
    (tmp_path / "spoiled.onnx").write_bytes(spoiled.SerializeToString())
    with pytest.raises(GraphError, match="keeps its data nowhere"):
        StepGraph.load(tmp_path / "spoiled.onnx")


def test_weights_that_can_be_put_nowhere_are_an_error(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the data file is gone and no temporary one can be written, a session says so in one line."""
    graph = StepGraph.load(saved)
    for path in saved.parent.glob("*.bin"):
        path.unlink()
    monkeypatch.setattr(tempfile, "tempdir", str(saved.parent / "nowhere"))
    with pytest.raises(GraphError, match="TMPDIR"):
        ReferenceSession(graph)


def test_weights_in_a_large_message_are_moved_out(tmp_path: Path, temporary: Path) -> None:
    """A large graph that somebody wrote into one file is the same graph, and its weights lie in a file of their own."""
    graph = graphs.recurrent_net()
    (tmp_path / "one.onnx").write_bytes(graph.model.SerializeToString())
    loaded = StepGraph.load(tmp_path / "one.onnx")
    assert loaded.digest == graph.digest
    assert len(list(temporary.iterdir())) == 1
    del loaded
    gc.collect()
    assert list(temporary.iterdir()) == []


def test_a_replaced_data_file_changes_nothing(saved: Path) -> None:
    """A loaded graph computes with the weights that it was loaded with, also when its file is another one since."""
    graph, data = StepGraph.load(saved), next(saved.parent.glob("weights-*.bin"))
    zeros = bytes(data.stat().st_size)
    data.unlink()
    data.write_bytes(zeros)
    mapped, whole = ReferenceSession(graph), ReferenceSession(graphs.recurrent_net())
    for x in graphs.random_inputs(graph, 5)["x"]:
        np.testing.assert_allclose(mapped.step(x=x)["y"], whole.step(x=x)["y"], atol=1e-6)


def test_saving_a_loaded_graph_writes_the_same_files(saved: Path, tmp_path: Path) -> None:
    """A graph whose weights are references is written as the one that it came from, elsewhere and in its own place."""
    before = {path.name: path.read_bytes() for path in saved.parent.iterdir() if path.is_file()}
    (tmp_path / "other").mkdir()
    for place in (tmp_path / "other" / "net.onnx", saved):
        StepGraph.load(saved).save(place)
        assert {path.name: path.read_bytes() for path in place.parent.iterdir() if path.is_file()} == before


def test_references_are_written_out_where_a_graph_is_small(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph that is below the limit is one file, whoever holds its weights."""
    graph = StepGraph.load(saved)
    monkeypatch.undo()
    graph.save(tmp_path / "small.onnx")
    assert StepGraph.load(tmp_path / "small.onnx").digest == graphs.recurrent_net().digest


def test_a_graph_can_be_sent_to_another_process(saved: Path, temporary: Path) -> None:
    """Pickled, a graph takes its weights along, and is the same graph where it comes out, with a file of its own."""
    graph = StepGraph.load(saved)
    copy = pickle.loads(pickle.dumps(graph))
    assert (copy.digest, copy.spec) == (graph.digest, graph.spec)
    assert len(list(temporary.iterdir())) == 1


def test_other_numbers_take_the_place_of_some(saved: Path) -> None:
    """Numbers that are made when their turn comes stand beside those that stay, in one new file."""
    graph = StepGraph.load(saved)
    copy = onnx.ModelProto()
    copy.CopyFrom(graph.model)
    name = next(item.name for item in copy.graph.initializer if is_reference(item))
    sources = move_out(copy, {name: lambda: 2 * array_of(_named(graph.model, name))})
    assert len(sources) == 1
    for item in copy.graph.initializer:
        factor = 2 if item.name == name else 1
        assert np.array_equal(array_of(item), factor * array_of(_named(graph.model, item.name)))


def test_numbers_of_a_graph_that_is_gone_are_refused(saved: Path) -> None:
    """A model that outlives its graph says so instead of giving other numbers."""
    model = StepGraph.load(saved).model
    gc.collect()
    with pytest.raises(GraphError, match="gone with the step graph"):
        sources_of(model)


def test_an_array_in_another_order_is_written_in_that_of_its_elements() -> None:
    """A transposed view is held as it is; its bytes are those of the transposed array."""
    array = np.arange(3000, dtype=np.float32).reshape(50, 60)
    tensor = numpy_helper.from_array(np.ascontiguousarray(array.T), "W")
    source = HeldArray(array.T)
    refer(tensor, source)
    assert np.shares_memory(array_of(tensor), array)
    assert b"".join(bytes_of(array_of(tensor))) == array.T.tobytes()


def _named(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(item for item in model.graph.initializer if item.name == name)
