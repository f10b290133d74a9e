from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.graphs import recurrent_net


def test_step_graph_becomes_a_page(astroedge_command: Command, tmp_path: Path) -> None:
    """A graph is drawn; a graph beside a graph is refused in one line, and nothing is written."""
    pytest.importorskip("jinja2", reason="pages need astroedge[report]")
    recurrent_net().save(tmp_path / "net.onnx")
    result = astroedge_command("view", tmp_path / "net.onnx", "-o", tmp_path / "step.html")
    assert result.code == 0, result.err
    assert result.out.startswith(f"Wrote {tmp_path / 'step.html'}: ")
    again = ("view", tmp_path / "net.onnx", "--graph", tmp_path / "net.onnx", "-o", tmp_path / "other.html")
    assert astroedge_command(*again).failed_with(60)
    assert not (tmp_path / "other.html").exists()


def test_what_is_no_step_is_refused(astroedge_command: Command, tmp_path: Path) -> None:
    """A file that holds no step graph is one line."""
    (tmp_path / "net.onnx").write_bytes(b"no graph")
    result = astroedge_command("view", tmp_path / "net.onnx", "-o", tmp_path / "step.html")
    assert result.code != 0
    assert len(result.err.splitlines()) == 1
