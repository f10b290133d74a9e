"""Steps at their due times, as an application makes them: asleep in between, so that each finds what the sleep left.

Between two ticks the processor sleeps, its clock falls and others use its caches: a step that takes 4 µs in a loop can
take 70 µs at 100 Hz. `time.sleep` waits for an absolute time of CLOCK_MONOTONIC on Linux (`clock_nanosleep`); how late
it wakes (the timer's slack of 50 µs included) is measured too, because the application is woken in the same way.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from time import perf_counter_ns, sleep
from typing import Any

from astroedge.profile_parts import Paced, PacedPeer, Timing
from astroedge.runtimes.profiling.ticks import Tick
from astroedge.runtimes.profiling.time_steps import split, without_collection

Call = Callable[..., Any]
PATIENCE = 1.0  # seconds
LATEST = 3.0  # a loop that cannot keep up is given up after so many times its length, but not before that time


@dataclass
class PacedTimes:
    """Nanoseconds that ticks took, and by how much they began late; how many were not ready in time."""

    step: array[int] = field(default_factory=lambda: array("q"))
    wake: array[int] = field(default_factory=lambda: array("q"))
    missed: int = 0


@dataclass(frozen=True)
class Peer:
    """Another runtime that is paced in turns: its name, its version and one tick of it."""

    runtime: str
    version: str
    step: Call


def pace(step: Call, feed: Iterator[Tick], rate: float, ticks: int, peer: Peer | None = None) -> Paced:
    """Make `ticks` ticks at `rate` Hz, and as many of a peer in turns, some rounds each; at least one tick.

    The first tick of a round only warms up: what the other runtime has left in the caches is not the step's doing.
    """
    ours, theirs, start = PacedTimes(), PacedTimes(), perf_counter_ns()
    for count in [ticks] if peer is None else split(ticks):
        pace_round(step, feed, rate, count, ours)
        if peer is not None:
            pace_round(peer.step, feed, rate, count, theirs)
    beside = None
    if peer is not None:
        timings = (Timing.of(theirs.step), Timing.of(theirs.wake))
        beside = PacedPeer(peer.runtime, peer.version, *timings, theirs.missed)
    seconds = (perf_counter_ns() - start) * 1e-9
    return Paced(rate, 1e9 / rate, seconds, Timing.of(ours.step), Timing.of(ours.wake), ours.missed, beside)


def pace_round(
    step: Call, feed: Iterator[Tick], rate: float, ticks: int, times: PacedTimes, patience: float = PATIENCE
) -> None:
    """One tick to warm up and `ticks` that are timed, each due a period after the one before, whenever that was ready.

    A tick that is due while another is being made begins late, right after it, and none is left out; a loop that falls
    ever further behind is given up, after `patience` seconds at the earliest.
    """
    clock, period = perf_counter_ns, 1e9 / rate
    limit = clock() + int(max(patience * 1e9, LATEST * (ticks + 1) * period))
    with without_collection():
        step(**next(feed))
        start = clock() + int(period)
        for index, tick in enumerate(islice(feed, ticks)):
            due = start + int(index * period)
            wait_until(due)
            begin = clock()
            step(**tick)
            end = clock()
            times.step.append(end - begin)
            times.wake.append(begin - due)
            times.missed += end > due + period
            if end > limit:
                break


def wait_until(due: int) -> None:
    """Sleep until `perf_counter_ns` is `due`; not at all when it is past."""
    while (left := due - perf_counter_ns()) > 0:
        sleep(left * 1e-9)
