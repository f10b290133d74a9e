from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from astroedge.bundle.container import Bundle
from tests.conftest import Compiled
from tests.support.command import Command
from tests.support.graphs import recurrent_net
from tests.support.places import ROOT

Build = Callable[[str], Compiled]
pytestmark = pytest.mark.compiles
LINE = ",".join(["1"] * 20)


def test_classes_have_the_names_that_went_along(astroedge_command: Command, tmp_path: Path) -> None:
    """A graph's assets are its bundle's, but for the names that compile --labels gives, which --decode prints."""
    own = {"labels.txt": b"another\n" * 10, "more.bin": b"\0\xff"}
    recurrent_net().with_assets(own).save(tmp_path / "net.onnx")
    (tmp_path / "names.txt").write_text("".join(f"class {index}\n" for index in range(10)))
    made = astroedge_command(
        *("compile", tmp_path / "net.onnx", "--labels", tmp_path / "names.txt", "--check-ticks", "5"),
        *("-o", tmp_path / "net.astro"),
    )
    assert made.code == 0, made.err
    bundle = Bundle.load(tmp_path / "net.astro")
    assert bundle.asset("more.bin") == own["more.bin"]
    assert bundle.labels == [f"class {index}" for index in range(10)]
    result = astroedge_command(
        "run", tmp_path / "net.astro", "--source", "stdin", "--decode", "argmax", stdin=f"{LINE}\n{LINE}\n"
    )
    header, *lines = result.out.splitlines()
    assert header == "tick,class,label"
    assert [line.split(",")[0] for line in lines] == ["0", "1"]
    assert all(line.split(",")[2] == f"class {line.split(',')[1]}" for line in lines)
    assert result.err.startswith("2 ticks in ")


@pytest.mark.parametrize("content", [b"", b"a\n\nb\n", b"\xff\n"])
def test_what_is_no_list_of_names_is_refused(astroedge_command: Command, tmp_path: Path, content: bytes) -> None:
    """An empty file, an empty name and what is no text are one line, before anything is compiled."""
    (tmp_path / "names.txt").write_bytes(content)
    result = astroedge_command("compile", tmp_path / "net.onnx", "--labels", tmp_path / "names.txt")
    assert result.failed_with(60), result
    assert "no text of class names" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "stdin", "--output", "o.csv"], "--source and --output exclude each other"),
        (["--source", "stdin", "--rate", "nan"], "no rate"),
        (["--source", "stdin", "--decode", "rate"], "needs --window"),
        (["--input", "x.npy", "--rate", "50"], "--rate is for a recording"),
        (["--decode", "argmax"], "go with --source"),
    ],
)
def test_options_that_would_say_nothing_are_refused(
    astroedge_command: Command, compiled: Build, arguments: list[str], message: str
) -> None:
    """What an option cannot change is a usage error."""
    result = astroedge_command("run", compiled("recurrent_net").bundle, *arguments)
    assert result.code == 2
    assert message in result.err


def test_ended_service_says_what_it_did(compiled: Build) -> None:
    """SIGTERM, with which systemd ends a service, ends it in order: a sentence on its times, and code 143."""
    command = [sys.executable, "-m", "astroedge", "run", str(compiled("recurrent_net").bundle), "--source", "stdin"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdin
        assert running.stdout
        running.stdin.write(f"{LINE}\n")
        running.stdin.flush()
        assert [running.stdout.readline()[:2] for _ in range(2)] != ["", ""]
        os.kill(running.pid, signal.SIGTERM)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 128 + signal.SIGTERM
    assert said.startswith("1 tick in ")


def test_no_page_is_written_over_what_it_shows(astroedge_command: Command, compiled: Build, tmp_path: Path) -> None:
    """view and report refuse to write over what they read, and profile to write two files into one."""
    graph = tmp_path / "net.onnx"
    recurrent_net().save(graph)
    before = graph.read_bytes()
    for command in ("view", "report"):
        result = astroedge_command(command, graph, "-o", graph)
        assert result.code == 2
        assert "is what is read" in result.err
    twice = astroedge_command(
        "profile", compiled("recurrent_net").bundle, "--json", tmp_path / "p", "--csv", tmp_path / "p"
    )
    assert twice.code == 2
    assert graph.read_bytes() == before
