from __future__ import annotations

import json
from pathlib import Path

import pytest

from astroedge.errors import InputError, MissingDependencyError
from astroedge.step.graph import StepGraph
from tests.support.command import Command
from tests.support.schemas import check
from tests.support.zoo_networks import LABELS, find_first, write_zoo


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with three networks, found before one that is installed."""
    folder = write_zoo(tmp_path)
    find_first(tmp_path, monkeypatch)
    return folder


def test_networks_are_listed_by_task(zoo: Path, astroedge_command: Command) -> None:
    """Each task has its table; a network's row has its seeds, its precisions, its firing rates and its time."""
    lines = astroedge_command("zoo").out.splitlines()
    assert "activity from a wrist sensor, accuracy on BasicMotions" in lines
    assert "bits, bits per byte on BasicMotions" in lines
    row = next(line for line in lines if line.startswith("l2mu-har "))
    for text in ("2407.04076", "164 B", "2.1–12 %", "92.5 % ± 2.5", "90.0 %", "12.3 µs"):
        assert text in row
    bits = next(line for line in lines if line.startswith("elm-bits "))
    assert bits.split()[-7:] == ["±", "0.025", "0.925", "0.900", "–", "12.3", "µs"]
    assert max(map(len, lines)) <= 120


def test_an_empty_package_is_said_to_be_empty(zoo: Path, astroedge_command: Command) -> None:
    """Without a network there is no table."""
    for path in zoo.glob("*.json"):
        path.unlink()
    assert astroedge_command("zoo").out.splitlines() == [
        "There are no trained networks in the package astroedge-zoo that is installed."
    ]


def test_one_is_shown_in_full(zoo: Path, astroedge_command: Command) -> None:
    """With a name, everything of the record is said, and what to type next."""
    out = astroedge_command("zoo", "l2mu-har").out
    for text in (
        "What is confirmed: Read in code.",
        ", ".join(LABELS),
        "1-NN DTW",
        "memory=10",
        "m.spike",
        "train.py, 12 s",
    ):
        assert text in out
    assert out.splitlines()[-1] == "Next: astroedge export zoo:l2mu-har -o l2mu-har.onnx"


def test_json_has_the_records(zoo: Path, astroedge_command: Command) -> None:
    """All of them, or the one that is named."""
    every = json.loads(astroedge_command("zoo", "--json", "-").out)
    one = json.loads(astroedge_command("zoo", "elm-bits", "--json", "-").out)
    check(every, "zoo")
    assert one["networks"] == every["networks"][:1]


def test_failures_are_one_line(zoo: Path, astroedge_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown network, and no networks at all, each have their code; an export says the same before it begins."""
    for line in (("zoo", "l2mu-hat"), ("export", "zoo:l2mu-hat")):
        result = astroedge_command(*line)
        assert result.failed_with(InputError.exit_code), result
        assert "did you mean 'l2mu-har'?" in result.err
    assert astroedge_command("zoo", "").failed_with(InputError.exit_code)
    monkeypatch.setattr("astroedge.zoo_record.PACKAGE", "astroedge_zoo_that_nobody_installed")
    for line in (("zoo",), ("export", "zoo:l2mu-har")):
        assert astroedge_command(*line).failed_with(MissingDependencyError.exit_code)


def test_a_network_is_exported_with_its_example(zoo: Path, astroedge_command: Command, tmp_path: Path) -> None:
    """`export zoo:NAME` needs nothing else: shapes and firing rates come from the stored inputs, classes have names."""
    path = tmp_path / "net.onnx"
    result = astroedge_command("export", "zoo:l2mu-har", "-o", str(path))
    assert result.code == 0, result.err
    graph = StepGraph.load(path)
    assert graph.name == "l2mu-har"
    assert [item.shape for item in graph.spec.inputs] == [(1, 6)]
    assert {item.firing_rate for item in graph.spec.spikes} - {0.0}
    assert graph.assets == {"labels.txt": b"standing\nrunning\nwalking\n"}
