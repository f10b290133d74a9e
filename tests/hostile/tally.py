"""What a fuzzer found: counts by kind, and one example of each fault that it can be made again from."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.hostile.attempts import Attempt

EXAMPLES = 40


@dataclass
class Tally:
    """Counts of how attempts ended; `faults` are examples of what must not happen, at most 40."""

    what: str
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, str]] = field(default_factory=list)

    def add(self, case: str, found: Attempt) -> None:
        """Count one attempt; `case` says how it is made again."""
        self.counts[found.kind] += 1
        if found.is_fault and len(self.faults) < EXAMPLES:
            self.faults.append((case, f"{found.kind}: {found.text}"))
            print(f"{self.what}: {case}\n    {found.kind}: {found.text}", file=sys.stderr, flush=True)

    @property
    def total(self) -> int:
        """How many attempts there were."""
        return sum(self.counts.values())

    def record(self) -> dict[str, Any]:
        """As one line of JSON."""
        return {"what": self.what, "total": self.total, **dict(sorted(self.counts.items()))}


Fuzzer = Callable[[int, int], list[Tally]]
"""Takes a count and a seed."""


def run_alone(fuzz: Fuzzer, count: int) -> None:
    """What `python -m tests.hostile.fuzz_X [--count N] [--seed S]` does: print the counts; status 1 if any fault."""
    parser = argparse.ArgumentParser(description=sys.modules[fuzz.__module__].__doc__)
    parser.add_argument("--count", type=int, default=count, metavar="N", help=f"how many cases ({count})")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="other cases (0)")
    chosen = parser.parse_args()
    tallies = fuzz(chosen.count, chosen.seed)
    for tally in tallies:
        print(json.dumps(tally.record()))
    raise SystemExit(any(tally.faults for tally in tallies))
