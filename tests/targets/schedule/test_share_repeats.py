"""What a large value computes over and over is computed once, with the same bits, and nothing is read that was not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tvm import te, tirx

from astroedge.targets.boards.target import resolve_target
from astroedge.targets.exact.guard_floats import guard_floats
from astroedge.targets.schedule import share_repeats as module
from astroedge.targets.schedule.loop_nest import read_assignments
from astroedge.targets.schedule.share_repeats import share_repeats
from astroedge.targets.schedule.vectorize import schedule_blocks
from tests.support.kernels.harness import nodes_in, operator, run, same_bits


def _doubled(value: Any, times: int) -> Any:
    """The value added to half of itself again and again: twice as large an expression each time, of as many terms."""
    for _ in range(times):
        value = value + value * tirx.const(0.5, "float32")
    return value


def _function(times: int) -> tirx.PrimFunc:
    """Of x at an index that is computed from a large value, where it lies inside, and of that value."""
    x = te.placeholder((20,), "float32", "x")

    def value(i: Any) -> Any:
        large = _doubled(x[i], times)
        place = tirx.Cast("int32", large)
        return tirx.if_then_else(tirx.And(place >= 0, place < 20), x[place] + x[place], large)

    return operator([x], [te.compute((20,), value, "y")])


def test_repeats_are_shared_and_the_bits_stay() -> None:
    """A value of 2¹² uses of one element has a dozen operations left, and NumPy's result."""
    func = _function(12)
    parts = [part for item in read_assignments(guard_floats(func)) for part in share_repeats(item)]
    assert len(parts) > 10
    x = np.random.default_rng(0).uniform(-0.2, 0.2, 20).astype(np.float32)
    scheduled = schedule_blocks(func, resolve_target("x86-64-v3"))
    assert len(nodes_in(scheduled, tirx.Mul)) < 100
    result = run(scheduled, [x], [np.zeros(20, np.float32)])[0]
    large = x.copy()
    for _ in range(12):
        large = large + large * np.float32(0.5)
    place = large.astype(np.int32)
    inside = (place >= 0) & (place < 20)
    expected = np.where(inside, 2 * x[np.clip(place, 0, 19)], large)
    assert same_bits(result, expected)


def test_memory_behind_a_condition_is_read_under_it_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """An element that two branches read twice, at an index that may lie outside, is no value of its own."""
    monkeypatch.setattr(module, "LARGE", 1)
    (item,) = read_assignments(guard_floats(_function(2)))
    *shared, _ = share_repeats(item)
    assert shared
    axes = set(item.axes)
    for part in shared:
        for load in part.loads:
            assert all(isinstance(index, tirx.Var) and index in axes for index in load.indices)


def test_small_values_stay_as_they_are() -> None:
    """LLVM shares what is small by itself."""
    (item,) = read_assignments(guard_floats(_function(2)))
    assert share_repeats(item) == [item]
