"""Programs for a Raspberry Pi 4, run as such on an emulated Cortex-A72: no Python, no C library, the same bits."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.errors import IncompatibleError
from tests.support import graphs
from tests.support.arm_root import ARM64
from tests.support.board import Board, inputs_of
from tests.support.builds import build_of
from tests.support.executables import frames_of, link_static

Program = Callable[..., "subprocess.CompletedProcess[bytes]"]
SCHEMA = json.loads((Path(astroedge.__file__).parent / "schemas" / "profile.schema.json").read_text())


@pytest.fixture
def program(board: Board, tmp_path: Path) -> Program:
    """A function that links the bundle of a case and runs its program on the board."""

    def run(case: str, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        path = tmp_path / case
        if not path.exists():
            link_static(Bundle.load(board.folders[case] / "step.astro"), path)
        words = [board.root.emulator, str(path), *arguments]
        return subprocess.run(
            words, input=given, capture_output=True, check=False, timeout=120, env={**os.environ, "QEMU_CPU": ARM64.cpu}
        )

    return run


def test_the_demo_verifies_itself_and_is_measured(board: Board, program: Program) -> None:
    """The demo replays the trace recorded on this machine, and writes a profile that the schema allows."""
    result = program("demo", "verify")
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"for raspberry-pi-4: all 4 golden ticks agree" in result.stdout
    record = json.loads(program("demo", "profile", "--steps", "30", "--warmup", "5", "--json", "-").stdout)
    jsonschema.validate(record, SCHEMA)
    assert (record["by"], record["machine"]["architecture"], record["step"]["count"]) == ("executable", "aarch64", 30)


def test_two_threads_give_this_machines_outputs(board: Board, program: Program) -> None:
    """A divided step gives frames that this machine's session gives, with one thread and with two."""
    bundle, inputs = build_of(graphs.recurrent_net), inputs_of(graphs.recurrent_net)
    layout = bundle.manifest.layout
    with astroedge.load(bundle) as session:
        expected = frames_of(layout.outputs, session.run(**inputs))
    for threads in ("1", "2"):
        result = program("threads", "run", "--threads", threads, given=frames_of(layout.inputs, inputs))
        assert (result.returncode, result.stderr) == (0, b"")
        assert result.stdout == expected


def test_a_newer_processors_program_is_refused(board: Board, program: Program) -> None:
    """A program for a Raspberry Pi 5 names the feature that the Cortex-A72 lacks, and executes none of it."""
    result = program("raspberry-pi-5", "verify")
    assert result.returncode == IncompatibleError.exit_code
    assert b"needs the CPU feature asimd" in result.stderr
