"""Paced ticks: due at absolute times, late ones told, none left out, another runtime in turns."""

from __future__ import annotations

from itertools import cycle
from time import perf_counter_ns, sleep
from typing import Any

from astroedge.profile_parts import Timing
from astroedge.runtimes.profiling.doubts import doubt_paced
from astroedge.runtimes.profiling.paced import PacedTimes, Peer, pace, pace_round, wait_until

RATE = 1000.0


def feed() -> Any:
    """Ticks without end."""
    return cycle([{}])


def test_a_step_longer_than_the_period_misses_its_deadlines() -> None:
    """Of 5 ticks of 3 ms each at 1 kHz all are missed, each begins later than the one before, and none is left out."""
    paced = pace(lambda: sleep(0.003), feed(), RATE, 5)
    assert (paced.missed, paced.step.count, paced.period) == (5, 5, 1e6)
    assert paced.step.min >= 3e6
    times = PacedTimes()
    pace_round(lambda: sleep(0.003), feed(), RATE, 5, times)
    late = [later - earlier for earlier, later in zip(times.wake, times.wake[1:], strict=False)]
    assert min(late) >= 2e6 - 1


def test_a_loop_that_falls_behind_without_end_is_given_up() -> None:
    """50 ticks of 5 ms at 1 kHz end after three times 51 ms, with the ticks made so far."""
    times = PacedTimes()
    pace_round(lambda: sleep(0.005), feed(), RATE, 50, times, patience=0)
    assert 1 <= len(times.step) <= 3 * 51 // 5 + 1
    assert times.missed == len(times.step) == len(times.wake)


def test_no_tick_begins_before_it_is_due() -> None:
    """Lateness is never negative, and a tick's due time is a period after the one before, whatever a wake-up takes."""
    begun: list[int] = []
    times = PacedTimes()
    pace_round(lambda: begun.append(perf_counter_ns()), feed(), RATE, 8, times)
    assert min(times.wake) >= 0
    assert len(begun) == 9  # one to warm up
    assert begun[-1] - begun[1] >= 7e6 - max(times.wake)


def test_waiting_for_what_is_past_does_not_wait() -> None:
    """A due time that is over returns at once, one in the future not before it."""
    wait_until(0)
    due = perf_counter_ns() + 2_000_000
    wait_until(due)
    assert perf_counter_ns() >= due


def test_a_peer_takes_turns_in_rounds() -> None:
    """12 ticks in 10 rounds, ours before theirs in each, each round after a tick to warm up."""
    order: list[str] = []
    paced = pace(lambda: order.append("a"), feed(), 2000.0, 12, Peer("other", "1", lambda: order.append("b")))
    assert "".join(order) == "aabb" * 4 + "aaabbb" + "aabb" * 4 + "aaabbb"
    assert paced.peer is not None
    assert (paced.peer.step.count, paced.step.count, paced.peer.runtime) == (12, 12, "other")


def test_few_ticks_and_missed_deadlines_are_doubted() -> None:
    """A p99 of 5 ticks says little, and missed deadlines are counted in words."""
    few = list(doubt_paced(pace(lambda: sleep(0.003), feed(), RATE, 5)))
    assert "5 ticks" in few[0]
    assert "5 of 5" in few[1]
    assert Timing.of(range(1, 101)).p99 == 99
