"""Sessions on a GPU do what sessions on a processor do; a fake driver computes what a GPU would."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cuda_emulator.build_driver import driver_environment
from tests.support import gpu_checks
from tests.support.places import ROOT

CHECKS = sorted(name.removeprefix("check_") for name in vars(gpu_checks) if name.startswith("check_"))


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
    """All checks, on a GPU whose memory is its own."""
    return make_checks(folder, CHECKS)


@pytest.mark.parametrize("check", CHECKS)
def test_a_session_on_a_gpu(check: str, outcomes: dict[str, str]) -> None:
    """What a check's docstring says holds."""
    assert outcomes[check] == "", outcomes[check]


def test_a_gpu_that_shares_the_hosts_memory_gives_the_same(folder: Path) -> None:
    """Where nothing is copied between two memories, steps and runs have the same bits, in any order of threads."""
    names = ["steps", "runs", "snapshots", "activity", "interrupts"]
    assert make_checks(folder, names, integrated=1, seed=7, sms=4) == dict.fromkeys(names, "")
