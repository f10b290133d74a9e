"""The tables of many streams, and their place in the documentation."""

from __future__ import annotations

import numpy as np

import astroedge
from benchmarks.report.documents import begin
from benchmarks.studies import streams
from benchmarks.studies.streams import BATCH, POOL, POOL_ALL, SESSIONS
from tests.benchmarks.records import MACHINE
from tests.support.bundles import make_tiny_bundle


def test_the_tables_have_rates_ratios_and_bytes() -> None:
    """Thousands of ticks a second of all streams, and how many times those of sessions in turn."""
    times = {SESSIONS: 2000.0, POOL: 1000.0, POOL_ALL: 500.0, BATCH: 800.0}
    nbytes = {"weights": 2048, "state": 512, "workspace": 1536, "stream": 9216}
    record = {"name": "lif-tiny", "precision": "fp32", "nanoseconds": {16: times}, "bytes": nbytes}
    lines = streams.render({"machine": MACHINE, "networks": [record]})
    assert "| fp32 | 16 | 500 | 1,000 (2.00×) | 2,000 (4.00×) | 1,250 (2.50×) |" in "\n".join(lines)
    assert lines[-1].endswith("| fp32 | 2.0 KiB | 0.5 KiB | 1.5 KiB | 9.0 KiB |")


def test_turns_time_a_tick_of_one_stream() -> None:
    """Each way's time is that of all streams, divided by them."""
    numbers: list[int] = []
    found = streams.take_turns({"one": numbers.append, "other": lambda tick: np.zeros(1000)}, 4)
    assert found.keys() == {"one", "other"}
    assert all(time > 0 for time in found.values())
    assert max(numbers) < streams.TICKS


def test_a_streams_memory_is_measured() -> None:
    """Some KiB of Python's objects, state and workspace; the weights are there before."""
    assert 0 < streams.stream_bytes(make_tiny_bundle(), 50) < 100_000


def test_the_page_has_a_place_for_the_tables() -> None:
    """Between the marks of its command."""
    assert begin(streams.COMMAND) in streams.PAGE.read_text(encoding="utf-8")
    assert astroedge.Pool.__name__ == "Pool"
