from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.places import ROOT

pytestmark = pytest.mark.compiles

Ends = dict[str, dict[str, tuple[str, str]]]
"""By surroundings and command, the kind of the end and the words."""


@pytest.fixture(scope="module")
def ends() -> Ends:
    """What came of every command in all surroundings."""
    command = [sys.executable, "-m", "tests.hostile.places"]
    result = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=900)
    assert result.returncode == 0, result.stderr
    found: Ends = {}
    for surroundings, name, kind, text in map(json.loads, result.stdout.splitlines()):
        found.setdefault(surroundings, {})[name] = (kind, text)
    return found


@pytest.mark.parametrize("surroundings", ["no folder", "unset", "closed"])
def test_no_command_needs_home_a_cache_or_tmpdir(ends: Ends, surroundings: str) -> None:
    """Each does its work without them, for a user whom no list of users knows."""
    assert {name: end for name, end in ends[surroundings].items() if end[0] != "done"} == {}


def test_without_temporary_files_bundles_run_and_the_rest_is_refused(ends: Ends) -> None:
    """To export and to compile takes temporary files: one line says so, with code 1, and nothing is left behind."""
    kinds = {name: kind for name, (kind, _) in ends["no temporary files"].items()}
    assert kinds == {"export": "refused", "compile": "refused", "verify": "done", "run": "done", "profile": "done"}
    for command in ("export", "compile"):
        assert ends["no temporary files"][command][1].startswith("1 Error: /proc/nothing/")
