"""All fuzzers in full, and the page docs/reliability.md with what they found.

    make hostile        or        python -m tests.hostile [--share X] [--page]

runs each of FUZZERS in a process of its own, one after the other, keeps the counts in tests/hostile/results.json and
prints the page. A fuzzer is a module that can be run by itself (`--count N --seed S`) and prints lines of JSON, counts
by how an attempt ended; its exit status is 1 if anything ended as it must not, and so is that of the whole.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import subprocess
import sys
from typing import Any

from tests.hostile.page import RESULTS, page

FUZZERS = (
    "fuzz_command_lines",
    "fuzz_arrays",
    "fuzz_onnx",
    "fuzz_nir",
    "fuzz_flips",
    "fuzz_pairs",
    "fuzz_faults",
    "fuzz_manifests",
)


def main() -> None:
    """Run the fuzzers and print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, metavar="X", help="of the cases, 0.1 for a tenth (1)")
    parser.add_argument("--page", action="store_true", help="run nothing; print the page of the last run")
    chosen = parser.parse_args()
    if not chosen.page:
        found = [run(name, chosen.share) for name in FUZZERS]
        record = {"python": platform.python_version(), "share": chosen.share, "fuzzers": found}
        RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    record = json.loads(RESULTS.read_text(encoding="utf-8"))
    print(page(record))
    raise SystemExit(any(item["faults"] for item in record["fuzzers"]))


def run(name: str, share: float) -> dict[str, Any]:
    """Run a fuzzer: its sentence, its counts, whether it found a fault. What it found goes to standard error."""
    module = f"tests.hostile.{name}"
    found = importlib.import_module(module)
    count = max(1, round(found.COUNT * share))
    result = subprocess.run(
        [sys.executable, "-m", module, "--count", str(count)], check=False, stdout=subprocess.PIPE, text=True
    )
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    sentence = (found.__doc__ or "").partition("\n")[0]
    return {"name": name, "sentence": sentence, "counts": lines, "faults": result.returncode != 0}


if __name__ == "__main__":
    main()
