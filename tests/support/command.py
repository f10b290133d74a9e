"""What the fixture `astroedge_command` gives: a command line run inside the test's own process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """What a command line did."""

    code: int
    out: str
    err: str

    def failed_with(self, code: int) -> bool:
        """Whether it ended with this code and one line on standard error, without anything on standard output."""
        lines = [line for line in self.err.splitlines() if not line.startswith("…")]
        one_line = len(lines) == 1 and lines[0].startswith("Error: ")
        return self.code == code and one_line and self.out == ""


Command = Callable[..., Outcome]
