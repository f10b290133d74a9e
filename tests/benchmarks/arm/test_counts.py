"""Counts of instructions: what the plugin wrote, and what of it is one tick's."""

from __future__ import annotations

import pytest

from benchmarks.arm.counts import cases_of, read_sections, tick_counts

WRITTEN = """\
file python3.11 900
mark
block 7f00 3 d65f03c0900004a1
file step 106
file libc.so.6 50
mark
block 7f00 5 d65f03c0900004a1
block 7f80 2 d65f03c0900004a1
block 7fa0 10 d65f03c0
file step 124
file libc.so.6 50
mark
"""


def test_what_is_done_once_a_call_is_no_part_of_a_tick() -> None:
    """A tick is what 4 ticks execute beyond 2, halved: a file that only the call itself uses cancels."""
    _, once, twice = read_sections(WRITTEN)
    tick = tick_counts(once, twice, ticks=2)
    assert tick.files == {"step": 9.0}
    assert tick.total == 9.0


def test_a_block_is_known_by_its_instructions() -> None:
    """Two places with the same code are one block, whose executions add up."""
    (tick,) = cases_of(read_sections(WRITTEN), ticks=2)
    assert tick.blocks == {("d65f03c0", "900004a1"): 2.0, ("d65f03c0",): 5.0}


def test_a_case_that_failed_is_noticed() -> None:
    """With a mark missing every later case would be taken for another."""
    with pytest.raises(ValueError, match="4 marks where every case makes three"):
        list(cases_of(read_sections(WRITTEN + "mark\n"), ticks=2))


def test_other_lines_are_refused() -> None:
    """What the plugin does not write is no count."""
    with pytest.raises(ValueError, match=r"not a line of count_blocks\.c: 'file step'"):
        read_sections("file step\n")
