"""The JSON schemas of the package, which refer to each other by their names."""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.support.places import ROOT

FOLDER = ROOT / "astroedge" / "schemas"
SCHEMAS = {path.name.partition(".")[0]: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))}
_REGISTRY: Any = Registry().with_resources(
    (f"{name}.schema.json", Resource.from_contents(schema)) for name, schema in SCHEMAS.items()
)


def check(record: Any, name: str) -> None:
    """Raise jsonschema.ValidationError unless a record obeys the schema of this name."""
    Draft202012Validator(SCHEMAS[name], registry=_REGISTRY).validate(record)
