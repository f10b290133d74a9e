"""Results of section "llama" made up by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.llama.tables import CONTENDERS

MISSING = {"llama.cpp Q4_0": "llama-cpp-python not installed"}


def llama_comparison(size: str, rate: float = 0.1, context: int = 0, threads: int = 1) -> dict[str, Any]:
    """A comparison in which AstroEdge takes 1 ms a token and llama.cpp 4 ms and 1 ms more for 1,024 tokens before."""
    contenders = {}
    for name in CONTENDERS:
        own = name.startswith("astroedge")
        contenders[name] = {
            "median": 1000.0 if own else 4000.0 + context / 1.024,
            "resident_bytes": 10**8,
            "peak_bytes": 2 * 10**8,
            "state_bytes": 10**6 if own else 16_384 * (context + 256),
            "touched_bytes": 10**7 if own else 8 * 10**7,
            "bandwidth_gb_per_s": 20.0,
        }
        if own:
            contenders[name]["firing"] = {"lowest": rate, "highest": rate, "mean": rate}
    return {
        "size": size,
        "rate": rate,
        "context": context,
        "threads": threads,
        "contenders": contenders,
        "missing": {},
    }


def llama_report(sizes: Sequence[str] = ("25M", "500M")) -> dict[str, Any]:
    """Two contexts on one thread and on two, and at the first size two more firing rates."""
    llama = {"vocabulary": 256, "width": 2048, "heads": 32, "kv_heads": 8, "feed_forward": 8192, "layers": 8}
    comparisons = [
        llama_comparison(size, context=context, threads=threads)
        for size in sizes
        for context in (0, 2048)
        for threads in (1, 2)
    ]
    comparisons += [llama_comparison(sizes[0], rate=rate) for rate in (0.3, 0.01)]
    counts = {"25M": 24_700_000, "500M": 490_000_000, "1.5B": 1_520_000_000}
    return {
        "versions": {"gguf": "0.19.0", "llama-cpp-python": "0.3.36"},
        "sizes": {
            name: {"weights": {"astrosnn": counts[name], "llama": counts[name]}, "llama": llama} for name in sizes
        },
        "comparisons": comparisons,
        "failed": {},
    }
