"""Programs for any 64-bit RISC-V processor, run as such by QEMU, give the bits they give here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.step.graph import StepGraph
from tests.support import graphs
from tests.support.board import CASES32, inputs_of
from tests.support.builds import build_for_teams, build_of
from tests.support.executables import arrays_of, frames_of, link_static

EMULATOR = shutil.which("qemu-riscv64-static") or shutil.which("qemu-riscv64")

pytestmark = [
    pytest.mark.emulated,
    pytest.mark.skipif(EMULATOR is None, reason="needs qemu-riscv64 (Debian: qemu-user-static)"),
]


def run(program: Path, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a program on QEMU's generic processor, which has no vectors."""
    words = [str(EMULATOR), str(program), *arguments]
    environment = {**os.environ, "QEMU_CPU": "rv64"}
    return subprocess.run(words, input=given, capture_output=True, check=False, timeout=120, env=environment)


def assert_same_bits(given: NDArray[Any], expected: NDArray[Any], name: str) -> None:
    """Demand equal bits, any NaN being one: its sign and payload are the processor's own."""
    kept = expected == expected
    np.testing.assert_array_equal(given == given, kept, err_msg=name)
    assert given[kept].tobytes() == expected[kept].tobytes(), name


def run_here_and_there(here: Bundle, program: Path, inputs: dict[str, NDArray[Any]], *options: str) -> None:
    """Demand that a program gives all outputs that this machine gives."""
    layout = here.manifest.layout
    with astroedge.load(here) as session:
        expected = session.run(**inputs)
    result = run(program, "run", *options, given=frames_of(layout.inputs, inputs))
    assert (result.returncode, result.stderr) == (0, b"")
    for name, given in arrays_of(layout.outputs, result.stdout).items():
        assert_same_bits(given, expected[name], name)


@pytest.mark.parametrize("name", ["functions", "conversions", "denormals"])
def test_cases_have_equal_bits(tmp_path: Path, name: str) -> None:
    """All functions, conversions between all dtypes and denormal numbers: this machine's very bits."""
    builder: Callable[[], StepGraph] = CASES32[name][0]
    program = link_static(build_of(builder, "riscv64"), tmp_path / name)
    run_here_and_there(build_of(builder), program, CASES32[name][1]())


def test_golden_trace_is_replayed_and_measured(tmp_path: Path) -> None:
    """The program replays the trace recorded on this machine, and tells what its kernels take."""
    bundle = astroedge.compile(graphs.recurrent_net(), "riscv64")
    program = link_static(bundle, tmp_path / "golden")
    result = run(program, "verify")
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"for riscv64: all 4 golden ticks agree" in result.stdout
    record = json.loads(run(program, "profile", "--steps", "30", "--warmup", "5", "--json", "-").stdout)
    assert (record["machine"]["architecture"], record["step"]["count"]) == ("riscv64", 30)


def test_two_threads_have_equal_bits(tmp_path: Path) -> None:
    """A step divided between two threads has the bits of one."""
    program = link_static(build_for_teams(graphs.recurrent_net(), "riscv64"), tmp_path / "threads")
    run_here_and_there(build_of(graphs.recurrent_net), program, inputs_of(graphs.recurrent_net), "--threads", "2")
