"""Every cell of every framework: exported and compiled, it does what it does in its framework."""

from __future__ import annotations

import os

import pytest

from tests.arm.arm_root import ArmRoot
from tests.conformance.all_cases import all_cases, missing
from tests.conformance.cases import Case
from tests.conformance.checks import check_forced, check_grid, check_machines, check_transcription, check_wrapper
from tests.exactness.machines import available

# `make conformance` compares more processors.
CHOSEN = ("x86-64-v2", "x86-64-v4", "raspberry-pi-4")
CASES = [pytest.param(case, id=case.title) for case in all_cases()]
EXACT = [pytest.param(case, id=case.title) for case in all_cases() if case.exact]
ROUNDED = [pytest.param(case, id=case.title) for case in all_cases() if not case.exact]


def test_frameworks_are_there() -> None:
    """In CI no framework may be missing, because its cells would be left out."""
    if missing() and "CI" not in os.environ:
        pytest.skip(f"not installed: {', '.join(missing())}")
    assert not missing()


@pytest.mark.parametrize("case", CASES)
def test_wrapper_is_the_model(case: Case) -> None:
    """The model with its state made explicit gives the framework's bits from a cold start over 200 ticks."""
    check_wrapper(case)


@pytest.mark.parametrize("case", EXACT)
def test_spikes_are_equal_on_the_grid(case: Case) -> None:
    """PyTorch, ONNX Runtime and the compiled step run free for 2,000 ticks with equal bits, ties included."""
    check_grid(case)


@pytest.mark.parametrize("case", CASES)
def test_forced_rule_holds(case: Case) -> None:
    """With drawn weights the compiled step follows ONNX Runtime by the forced rule, at firing rates of 1 to 60 %."""
    check_forced(case)


@pytest.mark.parametrize("case", ROUNDED)
def test_machines_and_transcription_agree(root: ArmRoot, case: Case) -> None:
    """A cell with exp, tanh, division and the like has NumPy's bits here and equal bits on every processor."""
    check_transcription(case)
    check_machines(case, [machine for machine in available() if machine.target in CHOSEN])
