"""Rounds of timed steps: as many as asked for or as long, and native times that are told like those from Python."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest

from astroedge.errors import InputError
from astroedge.measuring import DURATION, Measuring
from astroedge.runtimes import load
from astroedge.runtimes.profiling.ticks import Ticks
from astroedge.runtimes.profiling.time_steps import NativeRounds, _rounds, for_seconds, for_steps, middle_mean, split
from tests.support.bundles import draw_ticks, make_tiny_bundle


class Counted:
    """A step that counts its calls and notes the ticks it was given."""

    def __init__(self) -> None:
        self.ticks: list[int] = []

    def __call__(self, tick: int) -> None:
        """One step."""
        self.ticks.append(tick)


def loop() -> Iterator[dict[str, Any]]:
    """Three ticks without end."""
    return cycle([{"tick": tick} for tick in range(3)])


def test_a_round_of_steps_goes_on_where_the_last_one_ended() -> None:
    """Two rounds of 2 and 3 steps feed ticks 0 1, 2 0 1, one sample each."""
    step, samples, feed = Counted(), array("q"), loop()
    assert [for_steps(count)(step, feed, samples) for count in (2, 3)] == [2, 3]
    assert step.ticks == [0, 1, 2, 0, 1]
    assert len(samples) == 5


def test_a_round_of_seconds_times_no_more_steps_than_it_may() -> None:
    """In 5 ms a step that does nothing is made often; 4 of them are timed and all are counted."""
    step, samples = Counted(), array("q")
    done = for_seconds(0.005, 4)(step, loop(), samples)
    assert len(samples) == 4
    assert done == len(step.ticks) > 4
    assert step.ticks[:7] == [0, 1, 2, 0, 1, 2, 0]


def test_a_round_too_short_for_a_step_makes_one() -> None:
    """However long a step takes, one is timed."""
    step, samples = Counted(), array("q")
    assert for_seconds(1e-9, 100)(step, loop(), samples) == len(samples) == 1


def test_steps_are_split_into_rounds_of_nearly_equal_length() -> None:
    """No step is lost, and fewer steps than rounds make rounds of one."""
    assert split(25) == [2, 3, 2, 3, 2, 3, 2, 3, 2, 3]
    assert split(3) == [1, 1, 1]


def test_the_middle_of_means_is_what_native_calls_are_told_by() -> None:
    """Of calls of two ticks the middle mean counts: one long interruption moves it not at all; a rest is left out."""
    assert middle_mean([1, 3, 5, 1005, 4, 6, 900], 2) == 5
    assert middle_mean([1, 2, 6], 10) == 3


def test_native_rounds_cover_the_ticks_and_leave_their_own_stream() -> None:
    """Preparing makes no tick of the stream; a round moves it on by whole blocks of the loop."""
    with load(make_tiny_bundle()) as session:
        ticks = Ticks(session.manifest, draw_ticks(10), None)
        session.run(**draw_ticks(3))
        before = session.snapshot()
        rounds = NativeRounds(session, ticks, 1e6 / 7.5)
        assert (rounds.block, session.snapshot()) == (7, before)
        assert rounds.round() > 0
        assert (session.ticks - 3) % 7 == 0
        assert session.ticks > 3


def test_a_prepared_run_makes_the_ticks_of_a_run() -> None:
    """Called twice, it leaves the state of the same ticks run twice; fewer ticks than rows are the first ones."""
    with load(make_tiny_bundle()) as session:
        data = draw_ticks(6)
        for _ in range(2):
            session.run(**{name: rows[:4] for name, rows in data.items()})
        expected = session.snapshot()
        session.reset()
        again = session.prepare_run(4, data)
        again()
        again()
        assert session.snapshot() == expected


def test_a_block_of_the_loop_goes_round() -> None:
    """Ticks 3 to 7 of a loop of 4 are 3 0 1 2 3."""
    with load(make_tiny_bundle()) as session:
        data = draw_ticks(4)
        block = Ticks(session.manifest, data, None).block(3, 5)
    assert all((block[name] == rows[[3, 0, 1, 2, 3]]).all() for name, rows in data.items())


@pytest.mark.parametrize(
    "wish",
    [
        {"steps": 0},
        {"repeat": 0},
        {"duration": 0.0},
        {"duration": float("inf")},
        {"rate": -1.0},
        {"rate": float("nan")},
        {"steps": 5, "duration": 1.0},
    ],
    ids=str,
)
def test_what_cannot_be_measured_is_refused(wish: dict[str, Any]) -> None:
    """Numbers that no measurement can have are refused with their value."""
    with pytest.raises(InputError):
        Measuring(**wish)


def test_paced_ticks_follow_the_duration_or_the_steps() -> None:
    """2 s at 100 Hz are 200 ticks, 2 s at 1 Hz still 10; a number of steps is a number of paced ticks."""
    assert (Measuring().seconds, Measuring(steps=5).seconds) == (DURATION, None)
    assert Measuring(rate=100.0).paced_ticks == 200
    assert Measuring(rate=1.0).paced_ticks == 10
    assert Measuring(rate=1.0, steps=3).paced_ticks == 3


def test_slow_steps_are_measured_in_fewer_rounds() -> None:
    """Of half a second a step, two seconds hold four rounds; of a microsecond ten, and as many where nobody knows."""
    assert [len(_rounds(Measuring(), step)) for step in (10.0, 0.5, 1e-6, 0.0)] == [1, 4, 10, 10]
    assert len(_rounds(Measuring(duration=30.0), 1e-6)) == 60
    assert len(_rounds(Measuring(steps=25), 10.0)) == 10
