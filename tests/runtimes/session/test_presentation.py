"""Presentations: reset, T ticks, one answer; what is refused leaves the stream as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from astroedge.errors import InputError
from astroedge.runtimes.session import presentation
from astroedge.runtimes.session.compiled import CompiledSession
from tests.support.bundles import draw_ticks

TICKS = 30


@pytest.mark.parametrize("block", [1, 1 << 22])
def test_a_presentation_is_a_reset_and_a_run(
    session: CompiledSession, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """Constant inputs, a number for one, and one with an axis of ticks, in blocks or not: the bits of `run`."""
    monkeypatch.setattr(presentation, "BLOCK_BYTES", block)
    inputs = draw_ticks(TICKS)
    whole = {**inputs, "token": np.full_like(inputs["token"], 3), "x": np.repeat(inputs["x"][:1], TICKS, 0)}
    session.reset()
    ran = session.run(**whole)
    after = session.state.copy()
    given: dict[str, Any] = {"token": 3, "x": inputs["x"][0], "gate": inputs["gate"]}
    for readout, expected in (
        ("sum", ran["spikes"].sum(axis=0, dtype=np.float64)),
        ("rate", ran["spikes"].mean(axis=0, dtype=np.float64)),
        ("last", ran["spikes"][-1]),
    ):
        assert np.array_equal(session.present(TICKS, readout=readout, **given)["spikes"], expected)
        assert np.array_equal(session.state, after)
    first = session.present(TICKS, readout="first-spike", **given)["spikes"]
    fired = ran["spikes"].any(axis=0)
    assert np.array_equal(first, np.where(fired, (ran["spikes"] != 0).argmax(axis=0), TICKS))
    assert 0 < fired.mean() < 1


def test_a_broadcast_array_is_run_without_being_copied(session: CompiledSession) -> None:
    """What NumPy repeats has the bits of copies; one that is not repeated among them is read tick by tick."""
    inputs = draw_ticks(TICKS)
    repeated = {name: np.broadcast_to(array[0], array.shape) for name, array in inputs.items()}
    copied = {name: array.copy() for name, array in repeated.items()}
    for mixed in (repeated, {**repeated, "x": inputs["x"]}):
        results, states = [], []
        for given in (mixed, {**copied, "x": mixed["x"].copy()}):
            session.reset()
            results.append(session.run(**given)["y"])
            states.append(session.state.copy())
        assert np.array_equal(*results)
        assert np.array_equal(*states)


def test_a_refused_presentation_leaves_the_stream_as_it_was(
    session: CompiledSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A NaN in a late block, a wrong name, shape, number of ticks or readout: an error, and the state of before."""
    inputs = draw_ticks(TICKS)
    session.run(**inputs)
    before, ticks_before = session.state.copy(), session.ticks
    monkeypatch.setattr(presentation, "BLOCK_BYTES", 1)
    late = inputs["x"].copy()
    late[-1, 0, 0] = np.nan
    one: dict[str, Any] = {name: array[0] for name, array in inputs.items()}
    for ticks, given, words in (
        (TICKS, {**one, "x": late}, "holds a NaN"),
        (TICKS, {**one, "x": late[:-1]}, "takes a NumPy array"),
        (TICKS, {"x": late}, "is missing"),
        (0, one, "0 ticks is none"),
        (10**18, one, "1000000000000000000 ticks is none"),
        (TICKS, {**one, "readout": "max"}, "no readout 'max'"),
    ):
        with pytest.raises(InputError, match=words):
            session.present(ticks, **given)
        assert np.array_equal(session.state, before)
        assert session.ticks == ticks_before > 0
