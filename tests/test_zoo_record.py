"""Records of trained networks: read strictly, refused in one line, found by name."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from astroedge.errors import InputError, MissingDependencyError
from astroedge.zoo_record import PACKAGE, find_record, list_records, listing, zoo_folder
from tests.support import schemas
from tests.support.zoo_networks import LABELS, write_zoo


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with three networks."""
    return write_zoo(tmp_path_factory.mktemp("zoo"))


def test_records_are_listed_by_name_as_they_were_written(zoo: Path) -> None:
    """A record says again what its file says, and all of them together obey the schema of the listing."""
    records = list_records(zoo)
    assert [record.name for record in records] == ["elm-bits", "l2mu-har", "l2mu-har-synaptic"]
    assert records[1].labels == tuple(LABELS)
    assert records[1].step.firing_rates["m.spike"] == 0.12
    written = json.loads(json.dumps(listing(records)))
    schemas.check(written, "zoo")
    assert written["networks"] == [json.loads((zoo / f"{record.name}.json").read_text("utf-8")) for record in records]


def test_an_unknown_name_gets_the_nearest(zoo: Path) -> None:
    """A slip of the keyboard is answered with what was probably meant, anything else with what there is."""
    with pytest.raises(InputError, match="no trained network 'l2mu-hat'; did you mean 'l2mu-har'"):
        find_record("l2mu-hat", zoo)
    with pytest.raises(InputError, match="there are elm-bits, l2mu-har, l2mu-har-synaptic"):
        find_record("../secret", zoo)


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where astroedge-zoo is not installed, the error has the commands that make and install it."""
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    monkeypatch.setattr("sys.path", [])
    monkeypatch.setattr("sys.meta_path", [])
    with pytest.raises(MissingDependencyError, match="make wheel && pip install dist/astroedge_zoo-"):
        zoo_folder()


def _set(*path: Any) -> Callable[[dict[str, Any]], None]:
    """A change of a document: the last of `path` stands where the others lead."""

    def change(document: Any) -> None:
        for key in path[:-2]:
            document = document[key]
        document[path[-2]] = path[-1]

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_set("format", 2), "format"),
        (_set("further", 1), "'further'"),
        (lambda document: document.pop("readout"), "no 'readout'"),
        (_set("seeds", "kept", 3), "of 3 seeds, number 3 is kept"),
        (_set("seeds", "results", []), "results has 0 elements"),
        (_set("step", "firing_rates", "u", 1.5), "firing_rates"),
        (_set("precisions", {}), "no 'float32'"),
        (_set("labels", ["walking", "walking"]), "a label stands twice"),
        (_set("metric", "loss"), "metric"),
        (_set("name", "alif-har"), "it is that of 'alif-har'"),
        (_set("example", "x", [0, 6]), "example"),
    ],
)
def test_a_damaged_record_is_one_line(zoo: Path, tmp_path: Path, change: Callable[[Any], None], reason: str) -> None:
    """What a record must not say is named, with the file and what to do."""
    document = json.loads((zoo / "l2mu-har.json").read_text("utf-8"))
    change(document)
    (tmp_path / "l2mu-har.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(InputError, match=r"no record of a trained network.*install it again") as error:
        list_records(tmp_path)
    assert reason in str(error.value)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format": 1, "format": 1}', b"\xff", b"NaN"])
def test_what_is_no_json_object_is_one_line(tmp_path: Path, content: bytes) -> None:
    """Empty, binary and ambiguous files are records as little."""
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(InputError, match="no record of a trained network"):
        find_record("x", tmp_path)
