"""Bundles for a Raspberry Pi 2 run as 32-bit ARM programs on an emulated Cortex-A7 and give the bits they give here."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

import astroedge
from astroedge.errors import IncompatibleError
from tests.support import networks
from tests.support.board import CASES32, MOVED, NETWORKS32, TICKS, Board, inputs_of, write_case
from tests.support.builds import build_of
from tests.support.denormals import SMALLEST_NORMAL, denormals, small_numbers
from tests.support.run_bundle import run_bundle

AstroRun = Callable[..., "CompletedProcess[str]"]


def test_golden_trace_is_replayed(board32: Board) -> None:
    """The trace recorded on this machine while compiling is what the 32-bit program computes."""
    assert board32.results["golden"]["golden"] is True


@pytest.mark.parametrize("name", CASES32)
def test_cases_have_equal_bits(board32: Board, tmp_path: Path, name: str) -> None:
    """Spiking layers, all functions, conversions between all dtypes and denormal numbers: this machine's very bits."""
    builder, inputs = CASES32[name]
    assert board32.results[name] == run_bundle(write_case(tmp_path / name, build_of(builder), inputs()))


@pytest.mark.parametrize("name", NETWORKS32)
def test_networks_have_equal_bits(board32: Board, tmp_path: Path, name: str) -> None:
    """The example language model, gates and convolutions with real weights run free as they do here."""
    case = (networks.bundle_of(name), networks.inputs_of(name, NETWORKS32[name]))
    assert board32.results[name] == run_bundle(write_case(tmp_path / name, *case))


def test_what_has_no_instruction_on_the_least_processor(board32: Board) -> None:
    """Code for any Armv7-A, without division and half floats, calls functions of its own and has the same bits."""
    assert board32.results["any board"] == board32.results["conversions"]


def test_denormals_are_denormal() -> None:
    """What the test of denormal numbers compares is neither 0 nor normal in the end."""
    with astroedge.load(build_of(denormals)) as session:
        given = session.run(**small_numbers())
        for array in (session.states["v"], given["sums"][-1], given["pixels"][-1], given["larger"][-1]):
            small = np.abs(array)[array != 0]
            assert small.size > array.size / 2
            assert (small < 64 * SMALLEST_NORMAL).all()
        assert (np.abs(session.states["v"]) < SMALLEST_NORMAL).all()


def test_a_stream_moves_to_the_board(board32: Board) -> None:
    """A snapshot taken here is gone on with by the 32-bit program, to the snapshot that this machine comes to."""
    with astroedge.load(build_of(MOVED, "native")) as session:
        session.run(**inputs_of(MOVED))
        assert session.ticks == TICKS
        assert board32.results["moved"]["snapshot"] == sha256(session.snapshot()).hexdigest()


def test_two_threads_have_equal_bits(board32: Board, astro_run32: AstroRun) -> None:
    """A step divided between two threads, in Python and in C, has the bits of one."""
    assert board32.results["threads"] == board32.results["recurrent_net"]
    bundle = board32.folders["threads"] / "step.astro"
    one, two = (astro_run32(bundle, "--hash", "200", "--threads", number).stdout for number in "12")
    assert one == two != ""


def test_c_host_replays_the_golden_trace(board32: Board, astro_run32: AstroRun) -> None:
    """Without Python, too, the 32-bit program computes the trace recorded on this machine."""
    result = astro_run32(board32.folders["golden"] / "step.astro", "--golden")
    assert (result.returncode, result.stderr) == (0, "")
    assert "all 4 golden ticks agree" in result.stdout


@pytest.mark.parametrize(
    ("target", "words"), [("raspberry-pi-4", ("aarch64", "183")), ("raspberry-pi-3-32bit", ("crc32",) * 2)]
)
def test_code_for_other_processors_is_refused(
    board32: Board, astro_run32: AstroRun, target: str, words: tuple[str, str]
) -> None:
    """64-bit code and code for a newer core are refused by Python and by the C host, with the same exit code."""
    assert words[0] in board32.results[target]["refused"]
    result = astro_run32(board32.folders[target] / "step.astro", "--golden")
    assert result.returncode == IncompatibleError.exit_code
    assert words[1] in result.stderr
