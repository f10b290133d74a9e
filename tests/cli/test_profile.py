from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from astroedge.step_profile import Profile
from tests.conftest import Compiled
from tests.support.command import Command
from tests.support.graphs import random_inputs, recurrent_net

Build = Callable[[str], Compiled]


def test_profile_shows_and_keeps_every_number(astroedge_command: Command, compiled: Build, tmp_path: Path) -> None:
    """Times, memory, rates and operations are shown with their standing; JSON and CSV hold them with the samples."""
    result = astroedge_command(
        *("profile", compiled("recurrent_net").bundle, "--steps", "50", "--samples"),
        *("--json", tmp_path / "p.json", "--csv", tmp_path / "p.csv"),
    )
    assert result.code == 0, result.err
    for text in ("50 steps from Python", "p99", "added memory", "layers.0.spike", "effective ACs", "One step takes"):
        assert text in result.out, text
    profile = Profile.from_json(json.loads((tmp_path / "p.json").read_text()))
    assert len(profile.samples) == 50
    assert {item.rate > 0 for item in profile.spikes} == {True}
    rows = list(csv.reader((tmp_path / "p.csv").read_text().splitlines()))
    assert sum(row[0] == "sample" for row in rows) == 50


def test_onnx_runtime_is_measured_beside_it(astroedge_command: Command, compiled: Build) -> None:
    """With --compare the sentence at the end says how many times as long ONNX Runtime takes."""
    made = compiled("recurrent_net")
    result = astroedge_command("profile", made.bundle, "--steps", "60", "--compare", made.graph)
    assert result.code == 0, result.err
    assert "times as long as the bundle" in result.out
    assert "; ONNX Runtime takes " in result.out.splitlines()[-1]


def test_other_graph_is_refused(astroedge_command: Command, compiled: Build) -> None:
    """A comparison with a graph the bundle was not compiled from is one line, code 70."""
    result = astroedge_command(
        "profile", compiled("recurrent_net").bundle, "--steps", "5", "--compare", compiled("token_net:256").graph
    )
    assert result.failed_with(70), result


def test_own_data_is_timed(astroedge_command: Command, compiled: Build, tmp_path: Path) -> None:
    """With --input its ticks are timed, and the profile says that they were given."""
    np.save(tmp_path / "x.npy", random_inputs(recurrent_net(), 30)["x"])
    record = json.loads(
        astroedge_command("profile", compiled("recurrent_net").bundle, "--input", tmp_path / "x.npy", "--json", "-").out
    )
    assert record["step"]["count"] == 30
    assert record["inputs"] == "given"


def test_profile_that_cannot_be_written_is_one_line(
    astroedge_command: Command, compiled: Build, tmp_path: Path
) -> None:
    """A missing folder is named."""
    result = astroedge_command(
        "profile", compiled("recurrent_net").bundle, "--steps", "5", "--csv", tmp_path / "none" / "p.csv"
    )
    assert result.failed_with(1), result
    assert f"{tmp_path}/none/p.csv" in result.err


def test_kernels_are_shown_and_traced(astroedge_command: Command, compiled: Build, tmp_path: Path) -> None:
    """--trace times kernels, too: a table by module, a sentence on what instrumenting costs, and a trace to open."""
    result = astroedge_command(
        *("profile", compiled("recurrent_net").bundle, "--steps", "40", "--trace", tmp_path / "trace.json"),
        *("--json", tmp_path / "p.json"),
    )
    assert result.code == 0, result.err
    for text in ("time per kernel", "layers.0", "matmul", "a plain tick takes"):
        assert text in result.out, text
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert Profile.from_json(json.loads((tmp_path / "p.json").read_text())).kernels is not None
