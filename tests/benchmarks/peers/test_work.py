"""What a peer compiles is kept for as long as nothing that decides it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.peers import work as work_module
from benchmarks.peers.work import Work
from tests.benchmarks.peers.subjects import recurrent


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Work:
    """A network for a peer, its files kept in a folder of the test's."""
    monkeypatch.setattr(work_module, "KEPT", tmp_path)
    subject = recurrent()
    return Work(subject.name, subject.graph, subject.step, tuple(subject.state), {}, 1, "benchmarks.peers.iree")


def test_a_kept_file_is_made_once_and_again_for_another_version(work: Work) -> None:
    """The second request finds the file; another version makes a new one and removes the old one."""
    made: list[Path] = []

    def make(path: Path) -> None:
        made.append(path)
        path.write_text(f"{len(made)}")

    first = work.kept(".bin", ["1.0"], make)
    assert work.kept(".bin", ["1.0"], make) == first
    assert len(made) == 1
    second = work.kept(".bin", ["1.1"], make)
    assert second.read_text() == "2"
    assert [path.name for path in second.parent.iterdir()] == [second.name]


def test_a_file_that_could_not_be_made_is_not_kept(work: Work) -> None:
    """A compiler that fails half-way leaves nothing that the next run would take for its result."""

    def fail(path: Path) -> None:
        path.write_text("half")
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError):
        work.kept(".bin", ["1.0"], fail)
    assert work.kept(".bin", ["1.0"], lambda path: path.write_bytes(b"whole")).read_text() == "whole"


def test_zero_inputs_have_the_shapes_and_dtypes_of_the_graph(work: Work) -> None:
    """One array for each input."""
    (x,) = work.zero_inputs()
    assert (x.shape, x.dtype) == ((1, 8), "float32")
