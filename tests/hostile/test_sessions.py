"""Sessions under signals, with arguments that lie, and where somebody tries to copy them."""

from __future__ import annotations

import copy
import pickle
import signal
from typing import Any

import numpy as np
import pytest

from astroedge.errors import AstroEdgeError, InputError
from astroedge.runtimes import load
from astroedge.runtimes.session.compiled import CompiledSession
from tests.support.bundles import FEATURES, NEURONS, READOUTS, draw_ticks, make_tiny_bundle, one_tick

pytestmark = pytest.mark.compiles
MANY = 4_000  # signals, of which the run below needs some hundred


@pytest.fixture
def session() -> CompiledSession:
    """A session of the small bundle."""
    return load(make_tiny_bundle())


def test_the_state_is_that_of_the_ticks_counted(session: CompiledSession) -> None:
    """Wherever Ctrl-C falls into a loop of steps, as many ticks are counted as the state has gone through."""
    tick = one_tick()
    states = {}
    for count in range(400):
        states[session.state.tobytes()] = count
        session.step(**tick)
    assert len(states) == 400
    moments = np.random.default_rng(0).uniform(1e-4, 6e-4, 300)
    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    interrupted = 0
    try:
        for moment in moments:
            session.reset()
            session.reset_activity()
            try:
                signal.setitimer(signal.ITIMER_REAL, moment)
                for _ in range(399):
                    session.step(**tick)
            except KeyboardInterrupt:
                interrupted += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert states[session.state.tobytes()] == session.activity()["lif.spikes"].ticks
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    assert interrupted > 50


def test_frequent_signals_do_not_starve_a_run(session: CompiledSession) -> None:
    """The inputs of a run are checked once, however often it stops for a handler."""
    inputs = {name: np.repeat(array, 4000, axis=0) for name, array in draw_ticks(50).items()}
    expected = session.run(**inputs)
    session.reset()
    signals: list[int] = []

    def count(number: int, frame: object) -> None:
        signals.append(number)
        assert len(signals) < MANY, "the run makes no way"

    handler = signal.signal(signal.SIGALRM, count)
    signal.setitimer(signal.ITIMER_REAL, 1e-3, 1e-3)
    try:
        given = session.run(**inputs)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    assert signals
    assert all(np.array_equal(given[name], expected[name]) for name in expected)


def test_sessions_are_not_copied(session: CompiledSession) -> None:
    """A copy would share the stream's memory; each way says so and leaves the session as it was."""
    before = session.step(**one_tick())
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(AstroEdgeError, match="neither copied nor pickled"):
            attempt(session)
    session.reset()
    assert np.array_equal(session.step(**one_tick())["y"], before["y"])


def test_inputs_by_position_are_told_their_names(session: CompiledSession) -> None:
    """`step(x)` is one line with the call as it should be."""
    with pytest.raises(InputError, match=r"session\.step\(token=…, x=…, gate=…\)"):
        session.step(np.zeros(3))
    with pytest.raises(InputError, match=r"session\.run\(token=…"):
        session.run(np.zeros(3))


class Lying(np.ndarray[Any, Any]):
    """An array that says it has the shape that is wanted."""

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]  # that is the lie
        return (1, FEATURES)


class Raising(np.ndarray[Any, Any]):
    """An array that cannot be written to in the end."""

    def __setitem__(self, key: object, value: object) -> None:
        raise RuntimeError("no")


def test_arrays_that_lie_are_seen_as_they_are(session: CompiledSession) -> None:
    """What a subclass says of itself counts for nothing; a refusal leaves state and count."""
    state = session.state.copy()
    lie = np.zeros((3, 5), np.float32).view(Lying)
    with pytest.raises(InputError, match=r"\(3, 5\)"):
        session.step(**{**one_tick(), "x": lie})
    masked = np.ma.masked_array(np.ones((1, FEATURES), np.float32), mask=True)
    with pytest.raises(InputError, match="MaskedArray"):
        session.step(**{**one_tick(), "x": masked})
    with pytest.raises(InputError, match="must be a writeable NumPy array"):
        session.step(**one_tick(), out={"y": np.zeros((READOUTS, 1), np.float32).view(Lying)})
    assert np.array_equal(session.state, state)
    assert session.activity()["lif.spikes"].ticks == 0


def test_out_is_written_after_all_of_it_was_checked(session: CompiledSession) -> None:
    """A subclass whose assignment raises gets the output all the same: its memory is an array's."""
    target = np.zeros((1, READOUTS), np.float32).view(Raising)
    spikes = np.zeros((1, NEURONS), np.bool_)
    expected = session.step(**one_tick())
    session.reset()
    session.step(**one_tick(), out={"y": target, "spikes": spikes})
    assert np.array_equal(np.asarray(target), expected["y"])
    assert np.array_equal(spikes, expected["spikes"])


@pytest.mark.parametrize("ticks", [2**40, 2**57])
def test_runs_that_no_memory_holds_are_refused(session: CompiledSession, ticks: int) -> None:
    """Inputs that take no memory themselves ask for outputs that no machine has."""
    inputs = {name: np.broadcast_to(array[:1], (ticks, *array.shape[1:])) for name, array in draw_ticks(1).items()}
    state = session.state.copy()
    with pytest.raises(InputError, match="run pieces"):
        session.run(**inputs)
    assert np.array_equal(session.state, state)
