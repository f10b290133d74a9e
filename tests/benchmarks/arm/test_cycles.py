"""Cycles from what llvm-mca prints, added up as often as blocks are executed."""

from __future__ import annotations

import pytest

from benchmarks.arm.cycles import Estimate, estimate, hottest, read_cycles

SHOWN = """
[0] Code Region - b0

Iterations:        100
Instructions:      100
Total Cycles:      103
Total uOps:        100

Dispatch Width:    2
Block RThroughput: 0.5

[1] Code Region - b1

Iterations:        100
Instructions:      200
Total Cycles:      605
Total uOps:        200
"""
LOOP, TAIL, RARE = ("a",) * 10, ("b",) * 5, ("c",)


def test_cycles_are_those_of_an_iteration() -> None:
    """By the number of the region, whatever else is printed."""
    assert read_cycles(SHOWN) == {0: 1.03, 1: 6.05}


def test_without_a_summary_there_are_no_cycles() -> None:
    """A version that prints something else is noticed."""
    with pytest.raises(ValueError, match="no summary"):
        read_cycles("Iterations: 100\n")


def test_the_hottest_blocks_hold_the_share_that_is_asked_for() -> None:
    """By instructions executed, not by executions."""
    executed = {TAIL: 19.0, LOOP: 100.0, RARE: 5.0}
    assert hottest(executed, share=0.9) == [LOOP]
    assert hottest(executed, share=0.95) == [LOOP, TAIL]
    assert hottest(executed, share=1.0) == [LOOP, TAIL, RARE]


def test_blocks_that_were_not_simulated_go_at_the_speed_of_the_others() -> None:
    """1,000 instructions in 400 cycles, so the 100 others in 40; nothing executed is no cycles."""
    assert estimate({LOOP: 100.0, TAIL: 20.0}, {LOOP: 4.0}) == Estimate(cycles=440.0, instructions=1100.0)
    assert estimate({}, {}) == Estimate(0.0, 0)
