"""What a run of the suite is asked to measure."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.networks.suite import SUITE
from benchmarks.timing.compare import Record
from benchmarks.timing.turns import FULL, Plan, attempt

CORES = os.cpu_count() or 1


@dataclass(frozen=True)
class Settings:
    """The networks, firing rates and numbers of threads to measure, and for how long; by default everything.

    `rates` is None for all that a section has; `sizes` are those of section "llama", by name.
    """

    models: Sequence[str] = tuple(SUITE)
    rates: Sequence[float] | None = None
    threads: Sequence[int] = tuple(sorted({1, CORES}))
    plan: Plan = FULL
    quick: bool = False
    sizes: Sequence[str] = ()


def each(names: Sequence[str], failed: dict[str, str], measure: Callable[[str], list[Record]]) -> list[Record]:
    """What `measure` gives for every name, in one list; a name that fails is put into `failed` with its reason."""
    records: list[Record] = []
    for name in names:
        before = len(failed)
        records += attempt(name, failed, partial(measure, name)) or []
        if len(failed) > before:
            print(f"{name} failed: {failed[name]}", flush=True)
    return records
