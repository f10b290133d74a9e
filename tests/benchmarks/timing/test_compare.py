"""Summaries of times, and ratios to the best peer."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.timing.compare import ratio_to_best, summarise
from benchmarks.timing.contenders import OwnEntry
from tests.benchmarks.records import comparison


def test_a_summary_has_percentiles_of_ticks_and_medians_of_rounds() -> None:
    """Ticks of all rounds count alike in the percentiles; each round has its own median."""
    summary = summarise([np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 30.0])])
    assert summary["median"] == 6.5
    assert summary["rounds"] == [2.0, 20.0]
    assert summary["ticks"] == 6


@pytest.mark.parametrize(
    ("precision", "peer", "ratio"), [("fp32", "onnxruntime", 8.0), ("int8", "onnxruntime int8", 6.0)]
)
def test_the_best_peer_of_the_precision_is_compared_with(precision: str, peer: str, ratio: float) -> None:
    """float32 is compared with the fastest float32 peer, int8 with the fastest int8 peer."""
    found = ratio_to_best(OwnEntry(precision, "step"), comparison()["contenders"])
    assert found == {"peer": peer, "ratio": ratio, "lowest_round": ratio, "highest_round": ratio}


def test_int4_is_compared_with_int8() -> None:
    """No peer has int4, so it is held against the best int8."""
    found = ratio_to_best(OwnEntry("int4", "step"), comparison()["contenders"])
    assert found is not None
    assert found["peer"] == "onnxruntime int8"


def test_without_peers_there_is_no_ratio() -> None:
    """A comparison in which every peer of a precision is missing has no ratio."""
    times = {name: record for name, record in comparison()["contenders"].items() if record["own"]}
    assert ratio_to_best(OwnEntry("fp32", "step"), times) is None


def test_rounds_bound_the_ratio() -> None:
    """The lowest and highest ratio are taken within rounds."""
    times = {
        "astroedge fp32 step": {"own": True, "precision": "fp32", "median": 2.0, "rounds": [1.0, 2.0, 4.0]},
        "torch": {"own": False, "precision": "fp32", "median": 8.0, "rounds": [8.0, 8.0, 8.0]},
    }
    found = ratio_to_best(OwnEntry("fp32", "step"), times)
    assert found == {"peer": "torch", "ratio": 4.0, "lowest_round": 2.0, "highest_round": 8.0}
