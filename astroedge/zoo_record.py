"""The records of trained networks: what each is, how it was trained, and what was measured of it.

The networks are data in a package of their own, `astroedge-zoo`: for each `NAME.json`, its record, and
`NAME.safetensors`, its weights and example inputs, which `astroedge.models.trained.load_trained` reads. A record obeys
`astroedge/schemas/zoo-record.schema.json`; the fields here have the names of its members and are described there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from astroedge.errors import InputError, MissingDependencyError
from astroedge.nearest_name import did_you_mean
from astroedge.strict_json import read_json, schema

PACKAGE = "astroedge_zoo"
INSTALL = "in a clone of AstroEdge, make wheel && pip install dist/astroedge_zoo-*.whl"
FORMAT = 1


@dataclass(frozen=True)
class Seeds:
    """Results of training with several seeds, and which of them is that of the weights that ship."""

    results: tuple[float, ...]
    mean: float
    spread: float
    kept: int


@dataclass(frozen=True)
class Training:
    """The command that made the weights, the seconds of one seed, where, and with which packages, if that was noted."""

    command: str
    seconds: float
    machine: str
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Precision:
    """The compiled step on held-out data, and the bytes of its weights."""

    result: float
    bytes: int


@dataclass(frozen=True)
class StepFigures:
    """One tick of the compiled step: firing rates by tensor, synaptic operations done, and those of dense products."""

    weights: int
    state_bytes: int
    microseconds: float
    firing_rates: Mapping[str, float]
    synops: float
    macs: float


@dataclass(frozen=True)
class ZooRecord:
    """All that is known of a trained network; results are fractions where `metric` is accuracy."""

    name: str
    title: str
    paper: str
    confirmed: str
    task: str
    data: str
    labels: tuple[str, ...]
    model: str
    arguments: Mapping[str, Any]
    readout: str
    metric: str
    example: Mapping[str, tuple[int, ...]]
    seeds: Seeds
    training: Training
    precisions: Mapping[str, Precision]
    step: StepFigures
    baselines: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """The record as it stands in its file."""
        return {"format": FORMAT, **asdict(self)}


def listing(records: Iterable[ZooRecord]) -> dict[str, Any]:
    """Records as the JSON that `astroedge/schemas/zoo.schema.json` describes."""
    return {"format": "astroedge-zoo", "version": 1, "networks": [record.to_json() for record in records]}


def zoo_folder() -> Path:
    """The folder of the installed package; raises MissingDependencyError where there is none."""
    spec = find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    if not places:
        raise MissingDependencyError(
            f"The trained networks are a package of their own, astroedge-zoo, which is not installed: {INSTALL}"
        )
    return Path(places[0])


def list_records(folder: Path | None = None) -> list[ZooRecord]:
    """The records in a folder, of the installed package where none is given, in the order of their names.

    Raises MissingDependencyError where the package is not installed, InputError for a record that is damaged.
    """
    place = folder or zoo_folder()
    return [read_record(place / f"{name}.json") for name in _names(place)]


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.json"))


def find_record(name: str, folder: Path | None = None) -> ZooRecord:
    """The record of a network by its name, in a folder or in the installed package.

    Raises InputError where there is none of this name, with the nearest that there is, or where it is damaged;
    MissingDependencyError where the package is not installed.
    """
    place = folder or zoo_folder()
    names = _names(place)
    if name not in names:
        hint = did_you_mean(name, names) or f"there are {', '.join(names) or 'none'}."
        raise InputError(f"The zoo has no trained network {name!r}; {hint}")
    return read_record(place / f"{name}.json")


def read_record(path: Path) -> ZooRecord:
    """The record in a file, checked against its schema and against itself.

    Raises InputError for one that is damaged, OSError where it cannot be read.
    """
    try:
        document = read_json(path.read_bytes())
        wrong = schema("zoo-record")(document, "it") or _contradiction(document, path.stem)
    except ValueError as error:
        wrong = str(error)
    if wrong:
        raise InputError(
            f"{path} is no record of a trained network that this version reads ({wrong}); astroedge-zoo is damaged or "
            "of another version: install it again."
        )
    return _record(document)


def _contradiction(document: Mapping[str, Any], name: str) -> str | None:
    """What a record of the right form says against itself or against the name of its file."""
    seeds, labels = document["seeds"], document["labels"]
    if document["name"] != name:
        return f"it is that of {document['name']!r}"
    if seeds["kept"] >= len(seeds["results"]):
        return f"of {len(seeds['results'])} seeds, number {seeds['kept']} is kept"
    if len(set(labels)) != len(labels):
        return "a label stands twice"
    return None


def _record(document: Mapping[str, Any]) -> ZooRecord:
    """The record of a document that obeys the schema."""
    fields = {name: value for name, value in document.items() if name != "format"}
    fields["labels"] = tuple(document["labels"])
    fields["example"] = {name: tuple(extents) for name, extents in document["example"].items()}
    fields["seeds"] = Seeds(**{**document["seeds"], "results": tuple(document["seeds"]["results"])})
    fields["training"] = Training(**document["training"])
    fields["precisions"] = {name: Precision(**value) for name, value in document["precisions"].items()}
    fields["step"] = StepFigures(**document["step"])
    return ZooRecord(**fields)
