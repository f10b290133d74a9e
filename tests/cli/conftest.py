"""Running command lines inside the test's own process."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from astroedge.cli import main


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


@pytest.fixture
def astroedge_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run `astroedge` with these arguments and this text on standard input."""

    def run(*arguments: str | Path, stdin: str = "") -> Outcome:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run
