"""What the doctor says of one thing that was looked at, and of all of them as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

OK = "ok"
UNTESTED = "untested"
MISSING = "missing"
BROKEN = "broken"

DEVICE = "device"
HOST = "host"
EXTRA = "extra"

REPORT_FORMAT = "astroedge-doctor"
REPORT_VERSION = 1


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    `side` is "device" for what loading and running bundles needs, "host" for what exporting and compiling needs beyond
    that, "extra" for packages that add one thing each and that nothing else lacks. `state` is "ok"; "untested" for
    another version than the tested one, which may well work; "missing"; or "broken" for what is there but does not run.
    `version` is "" where nothing was found. `purpose` says what needs it and `cure` what to do, "" where nothing is to
    be done.
    """

    side: str
    name: str
    state: str
    version: str
    purpose: str
    cure: str = ""

    @property
    def is_gap(self) -> bool:
        """Whether something is missing or broken that a side needs."""
        return self.side != EXTRA and self.state in (MISSING, BROKEN)


def to_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """All findings as a record of `schemas/doctor.schema.json`."""
    return {
        "format": REPORT_FORMAT,
        "version": REPORT_VERSION,
        "ok": {side: not any(item.is_gap for item in findings if item.side == side) for side in (DEVICE, HOST)},
        "findings": [asdict(item) for item in findings],
    }
