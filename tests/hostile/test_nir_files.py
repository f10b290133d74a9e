"""NIR files, which are HDF5: bytes of other files are no weights, and nothing is read that is too large or too deep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from astroedge.errors import ExportError, InputError
from astroedge.exporters.nir import hdf5_tree
from astroedge.exporters.nir.file import read_nir_file

h5py = pytest.importorskip("h5py")
SECRET = np.arange(32, dtype=np.float32)


def _write(path: Path, weight: Callable[[object], None]) -> Path:
    """A file with one matrix, whose weight `weight` makes in its group."""
    with h5py.File(path, "w") as file:
        file["version"] = "1.0"
        graph = file.create_group("node")
        graph["type"] = "NIRGraph"
        nodes = graph.create_group("nodes")
        for name, kind in (("input", "Input"), ("linear", "Linear"), ("output", "Output")):
            nodes.create_group(name)["type"] = kind
        nodes["input"]["shape"] = np.array([4])
        nodes["output"]["shape"] = np.array([8])
        weight(nodes["linear"])
        edges = [["input", "linear"], ["linear", "output"]]
        graph["edges"] = np.array(edges, dtype=h5py.string_dtype())
    return path


def _nested(group: object, depth: int) -> None:
    for _ in range(depth):
        group = group.create_group("inner")  # type: ignore[attr-defined]  # h5py has no types


def test_a_plain_file_is_read(tmp_path: Path) -> None:
    """The weight that stands in the file is the one."""
    path = _write(tmp_path / "net.nir", lambda group: group.__setitem__("weight", SECRET.reshape(8, 4)))  # type: ignore[attr-defined]
    node = next(node for node in read_nir_file(path).nodes if node.kind == "Linear")
    assert np.array_equal(node.numbers("weight"), SECRET.reshape(8, 4))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda g, other: g.__setitem__("weight", h5py.ExternalLink(f"{other}.h5", "/w")), "link to somewhere else"),
        (lambda g, other: g.__setitem__("weight", h5py.SoftLink("/node/nodes/input/shape")), "link to somewhere else"),
        (
            lambda g, other: g.create_dataset("weight", (8, 4), np.float32, external=[(f"{other}.bin", 0, 128)]),
            "stored in another file",
        ),
        (lambda g, other: g.create_virtual_dataset("weight", _virtual(other)), "stored in another file"),
        (
            lambda g, other: g.create_dataset("weight", (8, 2**40), np.float32, chunks=(1, 2**20), compression="gzip"),
            "bytes",
        ),
        (lambda g, other: _nested(g, 300), "nested more than"),
        (lambda g, other: g.__setitem__("weight", g.file["node"]), "nested more than"),
    ],
    ids=["external link", "soft link", "external storage", "virtual", "bomb", "deep", "circle"],
)
def test_what_a_file_does_not_hold_itself_is_refused(
    tmp_path: Path, make: Callable[[object, Path], None], said: str
) -> None:
    """One line, before anything is read or allocated."""
    other = tmp_path / "other"
    SECRET.tofile(other.with_suffix(".bin"))
    with h5py.File(other.with_suffix(".h5"), "w") as file:
        file["w"] = SECRET.reshape(8, 4)
    path = _write(tmp_path / "net.nir", lambda group: make(group, other))
    with pytest.raises(InputError, match=said) as caught:
        read_nir_file(path)
    assert str(caught.value).isprintable()


def test_a_damaged_heap_that_hdf5_reads_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Free space of no bytes in the heap of texts: HDF5 goes round in a circle, in a process that is ended for it."""
    path = _write(tmp_path / "net.nir", lambda group: group.__setitem__("weight", SECRET.reshape(8, 4)))  # type: ignore[attr-defined]
    data = bytearray(path.read_bytes())
    place = data.index(b"GCOL") + 16
    while (number := int.from_bytes(data[place : place + 2], "little")) != 0:
        size = int.from_bytes(data[place + 8 : place + 16], "little")
        place += 16 + (size + 7) // 8 * 8
    assert number == 0
    data[place + 8 : place + 16] = bytes(8)
    path.write_bytes(data)
    monkeypatch.setattr(hdf5_tree, "LEAST_SECONDS", 1)
    with pytest.raises(InputError, match="HDF5 did not come to an end with it in 1 seconds"):
        read_nir_file(path)


def test_a_process_that_hdf5_ends_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash is one line with its signal; whatever Python can say itself is left to the reading that follows."""
    path = _write(tmp_path / "net.nir", lambda group: group.__setitem__("weight", SECRET.reshape(8, 4)))  # type: ignore[attr-defined]
    program = tmp_path / "crash.py"
    program.write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", encoding="ascii")
    monkeypatch.setattr(hdf5_tree, "__file__", str(program))
    with pytest.raises(InputError, match="HDF5 crashed on it, SIGSEGV"):
        read_nir_file(path)


def _virtual(other: Path) -> object:
    layout = h5py.VirtualLayout((8, 4), np.float32)
    layout[...] = h5py.VirtualSource(f"{other}.h5", "w", (8, 4))
    return layout


def test_complex_weights_keep_no_half(tmp_path: Path) -> None:
    """They are refused, not read without their imaginary part."""
    path = _write(tmp_path / "net.nir", lambda group: group.__setitem__("weight", np.ones((8, 4), complex)))  # type: ignore[attr-defined]
    node = next(node for node in read_nir_file(path).nodes if node.kind == "Linear")
    with pytest.raises(ExportError, match="complex numbers"):
        node.numbers("weight")
