"""exp, log, division and their kin give the same bits on the emulated board and on every x86-64 level."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from astroedge.step.graph import StepGraph
from astroedge.targets.boards.target import resolve_target
from astroedge.workflows.compile_graph import runs_here
from tests.support.board import Board, Result
from tests.support.every_function import every_function, function_inputs

RunHere = Callable[[StepGraph, str, dict[str, np.ndarray]], Result]


@pytest.mark.parametrize("target", ["x86-64-v2", "x86-64-v3", "x86-64-v4"])
def test_functions_have_equal_bits(board: Board, run_here: RunHere, target: str) -> None:
    """Every function of numbers of all exponents: 130,000 arguments, among them the neighbours of every switch."""
    if not runs_here(resolve_target(target)):
        pytest.skip(f"this processor cannot run {target} code")
    assert board.results["functions"] == run_here(every_function(), target, function_inputs())
