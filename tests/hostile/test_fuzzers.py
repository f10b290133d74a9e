"""A part of each fuzzer: `make hostile` runs them in full."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest

from tests.hostile.__main__ import FUZZERS
from tests.hostile.page import RESULTS, page
from tests.support.places import DOCS, ROOT

# Cases of each: ten seconds of a processor at most.
PARTS = {
    "fuzz_command_lines": 12,
    "fuzz_arrays": 12,
    "fuzz_onnx": 8,
    "fuzz_nir": 3,
    "fuzz_flips": 100,
    "fuzz_pairs": 30,
    "fuzz_faults": 10,
    "fuzz_manifests": 30,
}


@pytest.mark.compiles
@pytest.mark.parametrize("fuzzer", FUZZERS)
def test_no_attempt_ends_as_it_must_not(fuzzer: str) -> None:
    """Each case is done or refused in one line, whatever the fuzzer draws."""
    command = [sys.executable, "-m", f"tests.hostile.{fuzzer}", "--count", str(PARTS[fuzzer])]
    result = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=900)
    assert result.returncode == 0, result.stderr
    counts = [json.loads(line) for line in result.stdout.splitlines()]
    assert counts[0]["total"] > 0.9 * PARTS[fuzzer] or fuzzer == "fuzz_pairs"


def test_the_page_shows_the_last_full_run() -> None:
    """docs/reliability.md is what is printed from the results, and no fuzzer found a fault."""
    record = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert (DOCS / "reliability.md").read_text(encoding="utf-8") == page(record) + "\n"
    assert {item["name"] for item in record["fuzzers"]} <= set(FUZZERS)
    assert not any(item["faults"] for item in record["fuzzers"])


def test_every_fuzzer_is_run_in_full_and_in_part() -> None:
    """A module of that name is in the list, and says in its first line what it does."""
    names = {path.stem for path in (ROOT / "tests" / "hostile").glob("fuzz_*.py")}
    assert set(FUZZERS) == names == set(PARTS)
    for name in names:
        assert (importlib.import_module(f"tests.hostile.{name}").__doc__ or "").partition("\n")[0].endswith(".")
