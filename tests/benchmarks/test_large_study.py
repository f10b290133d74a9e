"""The study of large networks: memory as it is seen, and the table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.studies import large
from benchmarks.timing import peak_memory
from benchmarks.timing.peak_memory import run_measured


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory is read from Linux's /proc")
def test_memory_of_a_program_and_its_children_is_seen() -> None:
    """What a program and one that it starts hold at the same time is found, each for itself."""
    child = "held = b'1' * 50_000_000; print(flush=True); input()"
    parent = f"import subprocess, sys; held = b'1' * 40_000_000; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = [own for own, *_ in peak_memory._taken(process.pid)]
        process.communicate(b"\n")
    assert len(found) == 2
    assert 40_000_000 < found[0] < 50_000_000 < found[1] < 60_000_000


def test_a_program_that_fails_is_no_measurement(tmp_path: Path) -> None:
    """An exit code is an error."""
    with pytest.raises(RuntimeError, match="exit code 3"):
        run_measured([sys.executable, "-c", "raise SystemExit(3)"], tmp_path)


def test_the_table_has_multiples_of_the_weights() -> None:
    """A stage's memory stands beside what it is of the float32 weights."""
    stage = {"stage": "export", "own": 10**9, "all": 2 * 10**9, "seconds": 60.0, "cpu_seconds": 50.0}
    runs = {"int8": {"tick_ms": 1.5, "bundle_bytes": 10**9}}
    lines = large.render({"weights": 250_000_000, "stages": [stage], "runs": runs})
    assert "| export | 1.00 GB | 1.00× | 2.00 GB | 2.00× | 60 s |" in lines
    assert lines[-1] == "int8: 1.5 ms a tick, 1.00 GB on disk."
