"""docs/from-nir.md runs as it stands, in Python and on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.places import DOCS

nir = pytest.importorskip("nir")

from astroedge.cli import main  # noqa: E402  (after the check that nir is there)

PAGE = (DOCS / "from-nir.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^    astroedge (.*)$", PAGE, re.MULTILINE)


@pytest.mark.compiles
def test_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Every block of code and every command of the page works, and prints what the page says it prints."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in BLOCKS:
        exec(compile(block, "from-nir.md", "exec"), names)
    printed = capsys.readouterr().out
    promised = re.findall(r"^print\(.*?\)  # (.*)$", "\n".join(BLOCKS), re.MULTILINE)
    assert len(promised) == 2
    assert all(line in printed.splitlines() for line in promised)
    graph = Path("net.onnx").read_bytes()
    for line in COMMANDS:
        assert main(line.split()) == 0, line
    # The command line makes the graph that Python made, under the name of the file.
    assert len(Path("net.onnx").read_bytes()) == pytest.approx(len(graph), abs=64)
    assert "input=held or impulse" in capsys.readouterr().out
    assert main(["inspect", "net.onnx"]) == 0
    assert f"from nir {nir.__version__}, torch " in capsys.readouterr().out


def test_command_line_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without dt, with a choice that does not exist, or for another source, one line says what to do."""
    from tests.support.nir_files import SIZE, chain, full, nir

    path = chain(tmp_path, nir.LIF(full(1e-3), full(1), full(0), full(1), full(0)))
    target = str(tmp_path / "net.onnx")
    for arguments, code, message in (
        ([str(path)], 10, "--dt"),
        ([str(path), "--dt", "1e-4", "--nir", "resets=value"], 10, "did you mean 'reset'"),
        ([str(path), "--dt", "1e-4", "--nir", "reset"], 2, "NAME=VALUE"),
        (["net.py:make", "--dt", "1e-4"], 10, "for NIR files"),
        ([str(tmp_path / "none.nir"), "--dt", "1e-4"], 60, "no file"),
    ):
        assert main(["export", *arguments, "-o", target]) == code
        assert message in capsys.readouterr().err
    assert main(["inspect", str(path), "--json", "-"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [node["kind"] for node in record["nodes"]] == ["Input", "LIF", "Output"]
    assert record["nodes"][1]["parameters"]["tau"] == {"shape": [SIZE], "range": [1e-3, 1e-3]}
    assert record["choices"] == []
    assert record["unsupported"] == []
    assert len(record["notes"]) == 1
    assert main(["inspect", str(path)]) == 0
    assert "Note: Every neuron resets to v_reset = 0" in capsys.readouterr().out
