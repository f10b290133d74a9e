"""The profile as data: percentiles are real samples, and nothing is lost between a profile, its JSON and its CSV."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import pytest

import astroedge
from astroedge.errors import AstroEdgeError, MissingDependencyError
from astroedge.step_profile import (
    OPTIONAL,
    Comparison,
    Profile,
    Reading,
    Timing,
    format_ratio,
    nearest_rank,
)
from tests.support.full_profile import make_profile

PLAIN: dict[str, object] = {"comparison": None, "samples": (), **dict.fromkeys(OPTIONAL)}
PLAIN |= {"repeats": (), "timeline": (), "warnings": (), "digests": {}, "raster": ()}
SCHEMA = json.loads((Path(astroedge.__file__).parent / "schemas" / "profile.schema.json").read_text())


def test_percentiles_are_nearest_ranks() -> None:
    """Of 1 … 200 the 50th percentile is 100, the 99th 198 and the 95th of five samples the largest."""
    assert [nearest_rank(range(1, 201), percent) for percent in (50, 90, 95, 99)] == [100, 180, 190, 198]
    assert nearest_rank([1, 2, 3, 4, 5], 95) == 5
    assert nearest_rank([7], 50) == 7


def test_a_timing_summarises_samples_in_any_order() -> None:
    """Mean, sample standard deviation and extremes of 4, 1, 7 ns."""
    timing = Timing.of([4, 1, 7])
    assert (timing.count, timing.mean, timing.std, timing.min, timing.p50, timing.max) == (3, 4, 3, 1, 4, 7)


def test_one_sample_has_no_spread() -> None:
    """The standard deviation of a single sample is 0, not an error."""
    assert Timing.of([5]).std == 0


@pytest.mark.parametrize("change", [{}, PLAIN], ids=["full", "plain"])
def test_json_round_trip_changes_nothing(change: dict[str, object]) -> None:
    """A profile written to JSON text and read back is equal, raw samples and exact floats included."""
    profile = replace(make_profile(), **change)
    assert Profile.from_json(json.loads(json.dumps(profile.to_json()))) == profile


@pytest.mark.parametrize("change", [{}, PLAIN], ids=["full", "plain"])
def test_json_obeys_the_schema(change: dict[str, object]) -> None:
    """The schema in the package accepts every profile, with and without the optional parts."""
    jsonschema.validate(replace(make_profile(), **change).to_json(), SCHEMA)


def test_members_of_a_later_release_are_ignored() -> None:
    """Whatever is added within a version, at any depth, a reader of today passes over."""

    def add(value: object) -> object:
        if isinstance(value, dict):
            return {**{name: add(item) for name, item in value.items()}, "later": [1]}
        return [add(item) for item in value] if isinstance(value, list) else value

    record = add(make_profile().to_json())
    assert isinstance(record, dict)
    for texts in ("machine", "digests"):  # whose members are names, of which there may be any
        del record[texts]["later"]
    assert Profile.from_json(record) == make_profile()


def test_what_was_not_measured_is_absent() -> None:
    """Optional members are left out of the JSON rather than null."""
    assert set(OPTIONAL) <= make_profile().to_json().keys()
    assert not set(OPTIONAL) & replace(make_profile(), **PLAIN).to_json().keys()
    paced = replace(make_profile().paced, peer=None)
    assert "peer" not in replace(make_profile(), paced=paced).to_json()["paced"]


def test_the_schema_refuses_an_unlabelled_number() -> None:
    """A reading without its label is not a profile."""
    record = make_profile().to_json()
    del record["readings"][0]["label"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(record, SCHEMA)


def test_csv_holds_every_number_and_reads_back() -> None:
    """The CSV has a header, every row and every raw sample, with floats that read back unchanged."""
    profile = make_profile()
    header, *rows = csv.reader(io.StringIO(profile.to_csv()))
    assert header == ["group", "name", "value", "unit", "label", "note"]
    assert len(rows) == len(list(profile.rows())) + len(profile.samples)
    by_name = {(group, name): value for group, name, value, *_ in rows}
    assert float(by_name["synaptic operations", "W"]) == 1 / 3
    assert by_name["machine", "cpu"] == "Cortex-A72, r0p3"
    assert by_name["reading", "energy"] == ""


def test_a_runtime_beside_a_gpu_is_said_to_be_on_the_processor() -> None:
    """So that nobody takes it for ONNX Runtime on the same GPU; and a ratio far below 1 is not written as 0."""
    profile = make_profile()
    slow = Comparison("ONNX Runtime", "1.0", 3, 1050.0, 13.0, 0.0123, 0.0101, 0.0456)
    beside = replace(profile, machine={"gpu": "GPU 0, Orin"}, comparison=slow)
    assert {group for group, *_ in beside.rows()} - {group for group, *_ in profile.rows()} == {
        "ONNX Runtime 1.0 (processor)"
    }
    assert [note for *_, note in beside.rows() if "3 rounds" in note] == ["0.01 to 0.046 over 3 rounds"]
    assert [format_ratio(ratio, 1) for ratio in (0.0, 0.0123, 0.25, 4.0)] == ["0.0", "0.012", "0.2", "4.0"]


def test_a_reading_cannot_pretend() -> None:
    """A number labelled unavailable and a missing number labelled measured are refused."""
    with pytest.raises(ValueError, match="load"):
        Reading("load", 1.0, "ns", "unavailable")
    with pytest.raises(ValueError, match="load"):
        Reading("load", None, "ns", "measured")


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"format": "other"}, "not an AstroEdge profile"),
        ({"format": "astroedge-profile", "version": 99}, "version 99"),
        ({"format": "astroedge-profile", "version": 1}, "damaged"),
    ],
)
def test_files_that_are_not_a_profile_are_refused_in_one_line(record: dict[str, object], words: str) -> None:
    """Another format, another version and a damaged record each say what they are."""
    with pytest.raises(AstroEdgeError, match=words):
        Profile.from_json(record)


def test_a_dataframe_has_the_rows() -> None:
    """Every number with its standing, as in the CSV; without pandas one line says how to get it."""
    profile = make_profile()
    if find_spec("pandas") is None:
        with pytest.raises(MissingDependencyError, match="pip install pandas"):
            profile.to_dataframe()
        return
    frame = profile.to_dataframe()
    assert len(frame) == len(list(profile.rows()))
    assert list(frame.columns) == ["group", "name", "value", "unit", "label", "note"]
