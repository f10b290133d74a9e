"""Sessions on a GPU do what sessions on a processor do; a fake driver computes what a GPU would."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cuda_emulator.build_driver import driver_environment
from tests.support.gpu_checks import CHECKS
from tests.support.places import ROOT


def make_checks(folder: Path, names: list[str], **settings: object) -> dict[str, str]:
    """What went wrong in checks (tests/support/gpu_checks.py), made in a process that has the fake driver."""
    calls = folder / "calls"
    calls.unlink(missing_ok=True)
    result = subprocess.run(
        [sys.executable, "-m", "tests.support.gpu_checks", str(folder), *names],
        env={**driver_environment(folder, devices=2, calls=calls, **settings), "PYTHONPATH": str(ROOT)},
        check=False, cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    found: dict[str, str] = json.loads(result.stdout)
    return found


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> dict[str, str]:
    """All checks."""
    return make_checks(folder, list(CHECKS))


@pytest.mark.parametrize("check", CHECKS)
def test_a_session_on_a_gpu(check: str, outcomes: dict[str, str]) -> None:
    """What a check's docstring says holds."""
    assert outcomes[check] == "", outcomes[check]


def test_any_order_of_threads_gives_the_same(folder: Path) -> None:
    """On a larger GPU whose threads run in another order, steps and runs have the same bits."""
    names = ["steps", "runs", "activity", "interrupts"]
    assert make_checks(folder, names, seed=7, sms=8) == dict.fromkeys(names, "")
