"""Large weights lie in a file of their own beside the graph, which is found by name and proved by its digest."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from astroedge.errors import GraphError
from astroedge.step import onnx_file
from astroedge.step.graph import StepGraph
from astroedge.step.tensor_data import array_of
from tests.support import graphs


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
    for found, wanted in zip(
        loaded.model.graph.initializer, graphs.recurrent_net().model.graph.initializer, strict=True
    ):
        assert found.name == wanted.name
        assert np.array_equal(array_of(found), array_of(wanted))
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
