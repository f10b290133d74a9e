"""Contenders take turns, and one that fails does not end the comparison."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.timing.turns import Plan, take_turns

PLAN = Plan(rounds=4, block_milliseconds=1.0)
INPUTS = {"x": np.arange(100)[:, None]}


class Clock:
    """A contender that says every tick takes so many microseconds, notes its turns and fails at one of them."""

    def __init__(self, name: str, microseconds: float, log: list[str], fails_at: int = 10**9) -> None:
        self.name, self.microseconds, self.log, self.fails_at = name, microseconds, log, fails_at
        self.blocks: list[NDArray[Any]] = []

    def time_block(self, inputs: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
        """The time given, for each tick."""
        self.blocks.append(inputs["x"][:, 0])
        self.log.append(self.name)
        if len(self.blocks) == self.fails_at:
            raise RuntimeError(f"{self.name}: broke\n  in pieces")
        return np.full(len(inputs["x"]), self.microseconds)


def test_contenders_alternate_block_by_block() -> None:
    """After everybody has warmed up, each round has one block of each, in order."""
    log: list[str] = []
    contenders = {name: Clock(name, 50.0, log) for name in ("a", "b", "c")}
    turns = take_turns(contenders, INPUTS, PLAN)
    assert log[-12:] == ["a", "b", "c"] * 4
    assert [len(rounds) for rounds in turns.times.values()] == [4, 4, 4]
    assert turns.missing == {}


def test_blocks_fill_the_time_and_leave_out_their_first_ticks() -> None:
    """At 50 µs a tick, a block of a millisecond counts 20 ticks; five more come before them."""
    clock = Clock("a", 50.0, [])
    turns = take_turns({"a": clock}, INPUTS, PLAN)
    assert {len(samples) for samples in turns.times["a"]} == {20}
    assert {len(block) for block in clock.blocks[-4:]} == {25}


def test_inputs_follow_each_other_without_a_gap() -> None:
    """Blocks go on where the last one ended, and start again at the end."""
    clock = Clock("a", 50.0, [])
    take_turns({"a": clock}, INPUTS, PLAN)
    fed = np.concatenate(clock.blocks)
    np.testing.assert_array_equal(fed, np.arange(len(fed)) % 100)


def test_who_fails_is_missing_with_the_reason() -> None:
    """A failure while warming up or in a later round removes that contender alone."""
    log: list[str] = []
    contenders = {
        "good": Clock("good", 50.0, log),
        "early": Clock("early", 50.0, log, 1),
        "late": Clock("late", 50.0, log, 5),
    }
    turns = take_turns(contenders, INPUTS, PLAN)
    assert set(turns.times) == {"good"}
    assert turns.missing == {"early": "broke in pieces", "late": "broke in pieces"}
    assert len(turns.times["good"]) == 4
    assert len(contenders["late"].blocks) == 5
