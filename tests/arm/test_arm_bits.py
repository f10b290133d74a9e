"""Bundles for a Raspberry Pi 4 run as ARM programs on an emulated Cortex-A72 and give the bits they give here."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

import astroedge
from astroedge.errors import IncompatibleError
from astroedge.step.graph import StepGraph
from astroedge.targets.boards.target import resolve_target
from astroedge.workflows.compile_graph import runs_here
from tests.support.board import HARD_CASES, MOVED, TICKS, Board, Result, inputs_of
from tests.support.builds import build_of

AstroRun = Callable[..., "CompletedProcess[str]"]
RunHere = Callable[[StepGraph, str, dict[str, np.ndarray]], Result]


def skip_unless_runs_here(target: str) -> None:
    """Skip on a machine whose processor cannot run a target's code."""
    if not runs_here(resolve_target(target)):
        pytest.skip(f"this processor cannot run {target} code")


def test_demo_replays_its_golden_trace(board: Board) -> None:
    """The trace recorded on this machine while compiling is what the ARM program computes."""
    assert board.results["demo"]["golden"] is True


@pytest.mark.parametrize("target", ["native", "x86-64-v3"])
def test_demo_runs_free_with_equal_bits(
    board: Board, demo_graph: StepGraph, demo_inputs: dict[str, np.ndarray], run_here: RunHere, target: str
) -> None:
    """After 2,000 ticks on its own the ARM program has this machine's state, outputs and number of spikes."""
    skip_unless_runs_here(target)
    assert len(demo_inputs["token"]) == TICKS
    here, there = run_here(demo_graph, target, demo_inputs), board.results["demo"]
    assert {**there, "golden": None} == here
    assert all(here["active"].values()), "silent neurons prove nothing"


@pytest.mark.parametrize("name", HARD_CASES)
def test_hard_cases_have_equal_bits(board: Board, run_here: RunHere, name: str) -> None:
    """The hard cases of a step graph give this machine's state and outputs too."""
    builder = HARD_CASES[name]
    assert board.results[name] == run_here(builder(), "native", inputs_of(builder))


def test_a_stream_moves_to_the_board(board: Board) -> None:
    """A snapshot taken here is gone on with by the ARM program, to the snapshot that this machine comes to."""
    inputs = inputs_of(MOVED)
    with astroedge.load(build_of(MOVED, "native")) as session:
        session.run(**inputs)
        assert session.ticks == TICKS
        assert board.results["moved"]["snapshot"] == sha256(session.snapshot()).hexdigest()


def test_two_threads_have_equal_bits(board: Board, run_here: RunHere, astro_run: AstroRun) -> None:
    """A step divided between two threads of the ARM program, in Python and in C, has the bits of one thread here."""
    builder = HARD_CASES["recurrent_net"]
    assert board.results["threads"] == run_here(builder(), "native", inputs_of(builder))
    bundle = board.folders["threads"] / "step.astro"
    one, two = (astro_run(bundle, "--hash", "500", "--threads", number).stdout for number in "12")
    assert one == two != ""


def test_c_host_replays_the_golden_trace(board: Board, astro_run: AstroRun) -> None:
    """Without Python, too, the ARM program computes the trace recorded on this machine."""
    result = astro_run(board.folders["demo"] / "step.astro", "--golden")
    assert (result.returncode, result.stderr) == (0, "")
    assert "all 4 golden ticks agree" in result.stdout


@pytest.mark.parametrize(("target", "word"), [("x86-64-v2", "ELF machine 62"), ("raspberry-pi-5", "asimd")])
def test_c_host_refuses_code_for_other_processors(board: Board, astro_run: AstroRun, target: str, word: str) -> None:
    """The C host refuses what Python refuses, with the same exit code."""
    result = astro_run(board.folders[target] / "step.astro", "--golden")
    assert result.returncode == IncompatibleError.exit_code
    assert word in result.stderr


def test_arm_refuses_code_for_other_processors(board: Board) -> None:
    """On the board a bundle for x86-64 is refused, and so is one for a newer ARM core, which would crash."""
    assert "x86_64" in board.results["x86-64-v2"]["refused"]
    assert "asimddp" in board.results["raspberry-pi-5"]["refused"]


def test_this_machine_refuses_arm_code(board: Board) -> None:
    """Here the board's bundle is refused by its architecture."""
    skip_unless_runs_here("x86-64-v2")
    folder: Path = board.folders["demo"]
    with pytest.raises(IncompatibleError, match=r"raspberry-pi-4.*aarch64"):
        astroedge.load(folder / "step.astro")
