"""Results of a benchmark made up by hand: what the tables and pictures are tested on."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.timing.compare import ratio_to_best, summarise
from benchmarks.timing.contenders import OWN_ENTRIES


def comparison(model: str = "lif-tiny", threads: int = 1, rate: float = 0.1, **medians: float) -> dict[str, Any]:
    """A comparison in which every contender took the same time at every tick, by its name with "_" for " ".

    AstroEdge's own times are 1 µs at fp32, 0.5 µs at int8 and int4, unless given.
    """
    own = {entry.name: 1.0 if entry.precision == "fp32" else 0.5 for entry in OWN_ENTRIES}
    peers = {"onnxruntime": 8.0, "torch": 20.0, "onnxruntime int8": 3.0}
    given = {name.replace("_", " "): value for name, value in medians.items()}
    times: dict[str, Any] = {}
    for name, value in {**own, **peers, **given}.items():
        precision = next((part for part in name.split() if part in ("fp32", "int8", "int4")), "fp32")
        summary = summarise([np.full(20, value), np.full(20, value)])
        times[name] = {"precision": precision, "own": name in own, **summary}
    described = {
        "library_bytes": 9000,
        "weights_bytes": 4000,
        "state_bytes": 320,
        "touched_bytes": 2000,
        "working_set_bytes": 5000,
        "bandwidth_gb_per_s": 100.0,
        "limit_microseconds": 0.25,
        "firing_rates": {"neurons.0.spike": rate, "x": 0.12},
    }
    return {
        "model": model,
        "weights": 2763,
        "rate": rate,
        "threads": threads,
        "contenders": times,
        "missing": {"iree": "not installed"},
        "own": dict.fromkeys(("fp32", "int8", "int4"), described),
        "ratios": {entry.name: ratio_to_best(entry, times) for entry in OWN_ENTRIES},
    }


MACHINE = {"cpu": "A processor", "cores": "2", "kernel": "Linux 6", "python": "3.11", "versions": {"numpy": "2.4.6"}}
