"""Profiles as a page shows them: read from their JSON, each with a letter and a colour of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from astroedge.errors import AstroEdgeError, InputError
from astroedge.regular_file import open_regular
from astroedge.step_profile import Profile
from astroedge.strict_json import read_json

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
COLOURS = 8  # variables --s0 to --s7 of the page

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Shown:
    """One profile in a page: its JSON, its letter and the CSS colour of its marks, and whether it is the only one."""

    letter: str
    colour: str
    record: Record
    is_alone: bool

    @property
    def label(self) -> str:
        """Letter, where there are several, model, target and precision."""
        record = self.record
        return f"{self.tag}{record['model']} · {record['target']} · {record['precision']}"

    @property
    def tag(self) -> str:
        """The letter before a name, where there are several."""
        return "" if self.is_alone else f"{self.letter} · "

    @property
    def lead(self) -> str:
        """The letter before a sentence, where there are several."""
        return "" if self.is_alone else f"{self.letter}: "

    def reading(self, name: str) -> Record | None:
        """The reading of this name that has a value."""
        found = (item for item in self.record["readings"] if item["name"] == name and item["value"] is not None)
        return next(found, None)

    def value(self, name: str) -> float | None:
        """The value of a reading."""
        found = self.reading(name)
        return None if found is None else float(found["value"])


def show_profiles(records: Sequence[Record]) -> list[Shown]:
    """Give each profile its letter and colour.

    Raises InputError for no profile and for more than there are letters.
    """
    if not 1 <= len(records) <= len(LETTERS):
        raise InputError(f"A page shows 1 to {len(LETTERS)} profiles; {len(records)} were given.")
    return [
        Shown(LETTERS[index], f"var(--s{index % COLOURS})", record, len(records) == 1)
        for index, record in enumerate(records)
    ]


def read_profile(path: str | os.PathLike[str]) -> Record:
    """The JSON of a profile.

    Raises AstroEdgeError, which names the file, for what is no profile; OSError for what cannot be read.
    """
    with open_regular(path) as file:
        content = file.read()
    try:
        record = read_json(content)
        Profile.from_json(record)
    except (ValueError, AstroEdgeError) as error:
        raise AstroEdgeError(f"{os.fspath(path)}: {_reason(error)}") from error
    assert isinstance(record, dict)
    return record


def _reason(error: Exception) -> str:
    if isinstance(error, AstroEdgeError):
        return str(error)
    return f"It is not JSON ({error}); is it the file that `astroedge profile --json` wrote?"
