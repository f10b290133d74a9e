"""Profiles as a page: the sections that have data, and how to get the others."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from astroedge.errors import AstroEdgeError
from astroedge.host_package import require
from astroedge.targets.boards.target import list_targets
from astroedge.workflows.pages.compared import beside_section, energy_section, memory_section, operations_section
from astroedge.workflows.pages.course import course_section, paced_section
from astroedge.workflows.pages.elements import Parts, Table
from astroedge.workflows.pages.firing import firing_section
from astroedge.workflows.pages.kernels import kernels_section, roofline_section
from astroedge.workflows.pages.latency import latency_section
from astroedge.workflows.pages.page import render_page
from astroedge.workflows.pages.shown import Record, Shown, read_profile, show_profiles
from astroedge.workflows.pages.summary import described, figures_table, tiles

MOST_SAMPLES = 50_000  # in the JSON of a page; its charts show them all


class DamagedProfileError(AstroEdgeError):
    """A profile whose members are of another kind than a profile's."""


def check_packages() -> None:
    """Raise MissingDependencyError where a package that a page of profiles needs is missing."""
    for name in ("jinja2", "vl_convert"):
        require(name, "writing a page")


def report_files(paths: Sequence[str | os.PathLike[str]]) -> bytes:
    """The page of profiles in files that `astroedge profile --json` wrote.

    Raises AstroEdgeError, which names the file, for one that is no profile or a damaged one, InputError for too many,
    MissingDependencyError without the packages of `astroedge[report]`, and OSError.
    """
    records = [read_profile(path) for path in paths]
    try:
        return report_profiles(records)
    except DamagedProfileError:
        for path, record in zip(paths, records, strict=True):
            _refuse_damaged(path, record)
        raise


def report_profiles(records: Sequence[Record]) -> bytes:
    """The page of profiles in their JSON form; errors as of `report_files`."""
    parts, values = _contents(records)
    kept = [_kept(record) for record in records]
    data = kept[0] if len(kept) == 1 else kept
    return render_page("report.html", scripts=("page.js",), data=data, parts=parts, **values)


def _contents(records: Sequence[Record]) -> tuple[Parts, Mapping[str, Any]]:
    profiles = show_profiles(records)
    try:
        return _parts(profiles), _values(profiles)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
        raise DamagedProfileError(f"A profile is damaged ({error!r}); measure again.") from error


def _refuse_damaged(path: str | os.PathLike[str], record: Record) -> None:
    """Raise the error of a profile whose values no page can show, by its file."""
    try:
        _contents([record])
    except DamagedProfileError as error:
        raise AstroEdgeError(f"{os.fspath(path)}: {error}") from error


def _kept(record: Record) -> Record:
    """What of a profile its page holds as JSON: all of it, but for very many samples."""
    return dict(record) | {"samples": []} if len(record["samples"]) > MOST_SAMPLES else record


def _parts(profiles: Sequence[Shown]) -> Parts:
    parts = Parts()
    parts.add(latency_section(profiles))
    parts.add(beside_section(profiles))
    parts.add(paced_section(profiles))
    parts.add(course_section(profiles))
    parts.add(kernels_section(profiles))
    parts.add(roofline_section(profiles, _bandwidths()))
    parts.add(firing_section(profiles))
    parts.add(operations_section(profiles))
    parts.add(energy_section(profiles))
    parts.add(memory_section(profiles))
    return parts


def _bandwidths() -> dict[str, float]:
    """Bytes a second of memory by target, where a board file knows them."""
    return {board.name: float(board.bandwidth_bytes) for board in list_targets() if board.bandwidth_bytes}


def _values(profiles: Sequence[Shown]) -> Mapping[str, Any]:
    first = profiles[0].record
    return {
        "title": f"{first['model']} on {first['target']}" if len(profiles) == 1 else f"{len(profiles)} profiles",
        "profiles": [(shown, described(shown)) for shown in profiles],
        "tiles": tiles(profiles[0]) if len(profiles) == 1 else [],
        "figures": None if len(profiles) == 1 else figures_table(profiles),
        "warnings": [(shown.letter, text) for shown in profiles for text in shown.record.get("warnings", [])],
        "readings": [_readings(shown) for shown in profiles],
        "file_name": "profile.json" if len(profiles) == 1 else "profiles.json",
    }


def _readings(shown: Shown) -> Table:
    """Every reading with its standing and where it comes from."""
    lines = tuple(
        (item["name"], "–" if item["value"] is None else f"{item['value']:,.6g} {item['unit']}".strip(), item["label"],
         item["note"])
        for item in shown.record["readings"]
    )  # fmt: skip
    return Table(f"Readings of {shown.label}", ("Reading", "value", "standing", "note"), lines)
