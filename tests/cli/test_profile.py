from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from astroedge.cli.profile import _summary
from astroedge.cli.shared.display import joules
from astroedge.profile_parts import NativeTiming
from astroedge.step_profile import Profile
from tests.conftest import Compiled
from tests.support.command import Command
from tests.support.full_profile import make_profile
from tests.support.graphs import random_inputs, recurrent_net
from tests.support.places import ROOT

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


def test_profile_as_a_page_keeps_what_the_page_shows(
    astroedge_command: Command, compiled: Build, tmp_path: Path
) -> None:
    """With --html the page shows all steps and a raster; JSON has the raster too, and the samples where asked for."""
    pytest.importorskip("vl_convert", reason="pages need astroedge[report]")
    made = compiled("recurrent_net")
    files = ("--html", tmp_path / "p.html", "--json", tmp_path / "p.json")
    result = astroedge_command("profile", made.bundle, "--steps", "30", *files)
    assert result.code == 0, result.err
    record = json.loads((tmp_path / "p.json").read_text())
    assert record["samples"] == []
    assert {item["name"] for item in record["raster"]} == {item["name"] for item in record["spikes"]}
    jsonschema.validate(record, json.loads((ROOT / "astroedge" / "schemas" / "profile.schema.json").read_text()))
    assert Profile.from_json(record).to_json() == record
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "Raster of layers.0.spike" in page
    assert "Histogram" in page


def test_onnx_runtime_is_measured_beside_it(astroedge_command: Command, compiled: Build) -> None:
    """With --compare the sentence at the end says how many times as long ONNX Runtime takes."""
    made = compiled("recurrent_net")
    result = astroedge_command("profile", made.bundle, "--steps", "60", "--compare", made.graph)
    assert result.code == 0, result.err
    assert "times as long as the bundle" in result.out
    assert "; in turns with ONNX Runtime " in result.out.splitlines()[-1]


def test_other_graph_is_refused(astroedge_command: Command, compiled: Build) -> None:
    """A comparison with a graph the bundle was not compiled from is one line, code 70."""
    result = astroedge_command(
        "profile", compiled("recurrent_net").bundle, "--steps", "5", "--compare", compiled("token_net:256").graph
    )
    assert result.failed_with(70), result


def test_own_data_is_timed(astroedge_command: Command, compiled: Build, tmp_path: Path) -> None:
    """With --input its ticks are timed in a loop for the duration, and the profile says that they were given."""
    np.save(tmp_path / "x.npy", random_inputs(recurrent_net(), 30)["x"])
    result = astroedge_command(
        *("profile", compiled("recurrent_net").bundle, "--input", tmp_path / "x.npy", "--duration", "0.05"),
        *("--repeat", "2", "--rate", "1000", "--json", "-"),
    )
    assert result.code == 0, result.err
    record = json.loads(result.out)
    assert len(record["repeats"]) == 2
    assert record["paced"]["step"]["count"] == 50
    assert record["step"]["count"] > 30
    assert record["inputs"] == "given, 30 ticks in a loop"


def test_profile_that_cannot_be_written_is_one_line(
    astroedge_command: Command, compiled: Build, tmp_path: Path
) -> None:
    """A missing folder is named."""
    result = astroedge_command(
        "profile", compiled("recurrent_net").bundle, "--steps", "5", "--csv", tmp_path / "none" / "p.csv"
    )
    assert result.failed_with(1), result
    assert f"{tmp_path}/none/p.csv" in result.err


def test_impossible_wishes_are_one_line(astroedge_command: Command, compiled: Build) -> None:
    """Steps and a duration at once, and a rate that no tick can have."""
    bundle = compiled("recurrent_net").bundle
    for wish in (("--steps", "5", "--duration", "1"), ("--rate", "0"), ("--duration", "nan")):
        assert astroedge_command("profile", bundle, *wish).failed_with(60), wish


def test_native_steps_are_not_said_to_be_slower_than_those_from_python() -> None:
    """Where steps are of unequal length, a native mean is set beside the mean and not beside a smaller p50."""
    equal = make_profile()
    assert _summary(equal).startswith("One step takes 1 µs from Python (p99 5 µs) and 800 ns in a native run; ")
    assert "; 2.5 µJ beyond the idle machine; " in _summary(equal)
    unequal = replace(equal, native=NativeTiming(1500.0, 1400.0, 1600.0))
    assert ", 2 µs on average, and 1.5 µs on average in a native run; " in _summary(unequal)
    disturbed = replace(equal, native=None)
    assert "native" not in _summary(disturbed)
    assert "native" not in {name for group, name, *_ in disturbed.rows() if group == "repeats"}


def test_energies_have_their_fitting_unit() -> None:
    """Joules for people, negative ones and none included."""
    shown = [joules(value) for value in (2.0, 0.0125, 3.76e-5, -4e-8, 9.9999e-4, 0.0)]
    assert shown == ["2 J", "12.5 mJ", "37.6 µJ", "-40 nJ", "1 mJ", "0 nJ"]


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
