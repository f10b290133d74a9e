"""What commands write as JSON: every kind says its format and version, and obeys the schema that docs/json.md names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import jsonschema
import nir
import numpy as np
import pytest

from astroedge.cli import commands
from tests.conftest import Compiled
from tests.support.command import Command
from tests.support.graphs import random_inputs, recurrent_net
from tests.support.nir_files import SIZE, chain, full, grid
from tests.support.places import DOCS
from tests.support.schemas import FOLDER, SCHEMAS, check
from tests.support.zoo_networks import find_first, write_zoo

Build = Callable[[str], Compiled]
PAGE = (DOCS / "json.md").read_text(encoding="utf-8")
WRITERS = ("doctor", "eval", "inspect", "profile", "verify", "zoo")


@pytest.fixture
def written(
    astroedge_command: Command, compiled: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """What a command line with `--json -` prints, parsed; NAME.onnx and NAME.astro are those of recurrent_net."""
    write_zoo(tmp_path)
    find_first(tmp_path, monkeypatch)
    made = compiled("recurrent_net")
    data = random_inputs(recurrent_net(), 12)["x"]
    np.save(tmp_path / "x.npy", data.reshape(3, 4, *data.shape[1:]))
    np.save(tmp_path / "labels.npy", np.array([0, 1, 2]))
    files = {"GRAPH": made.graph, "BUNDLE": made.bundle, "DATA": tmp_path / "x.npy", "LABELS": tmp_path / "labels.npy"}
    linear = nir.Affine(grid(SIZE, SIZE), full(0.25))
    files["NIR"] = chain(tmp_path, linear, nir.LIF(full(0.25), full(1.0), full(0.0), full(1.0), full(0.0)))

    def run(line: str) -> Any:
        result = astroedge_command(*(files.get(word, word) for word in line.split()), "--json", "-")
        assert result.code == 0, result.err
        return json.loads(result.out)

    return run


@pytest.mark.parametrize(
    "line",
    [
        "verify BUNDLE",
        "verify BUNDLE --graph GRAPH --steps 20",
        "eval BUNDLE --graph GRAPH --data DATA --labels LABELS",
        "doctor",
        "inspect BUNDLE",
        "inspect GRAPH",
        "inspect NIR",
        "profile BUNDLE --steps 20 --samples --repeat 2 --rate 1000 --compare GRAPH",
        "profile BUNDLE --duration 0.02",
        "zoo",
    ],
)
def test_written_json_obeys_its_schema(written: Callable[..., Any], line: str) -> None:
    """Format and version are those of the schema, which knows every member; one more or one less is refused."""
    record, name = written(line), line.split()[0]
    properties = SCHEMAS[name]["properties"]
    assert {key: record[key] for key in ("format", "version")} == {
        "format": properties["format"]["const"],
        "version": properties["version"]["const"],
    }
    check(record, name)
    if line == "inspect BUNDLE":
        check({"digest": "0" * 64, **record["manifest"]}, "manifest")
    for wrong in ({**record, "further": 1}, {key: value for key, value in record.items() if key != "version"}):
        with pytest.raises(jsonschema.ValidationError):
            check(wrong, name)


def test_every_command_that_writes_json_has_a_schema() -> None:
    """No command has --json without a schema here and a row on the page, and no schema is left out there."""
    writers = {name for name, command in commands.commands.items() if _writes_json(command)}
    assert writers == set(WRITERS)
    rows = dict(re.findall(r"^\| `astroedge (\w+)[^|]*\| \[`(\w+)\.schema\.json`\]", PAGE, re.MULTILINE))
    assert {name: rows[name] for name in writers} == {name: name for name in WRITERS}
    for path in FOLDER.glob("*.json"):
        assert f"{path.name}`]" in PAGE, path.name


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_schemas(name: str) -> None:
    """Each is valid by the dialect that it names."""
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


def _writes_json(command: click.Command) -> bool:
    return any("--json" in item.opts for item in command.params) or any(
        _writes_json(inner) for inner in getattr(command, "commands", {}).values()
    )
