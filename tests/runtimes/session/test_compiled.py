"""Sessions on compiled bundles: what they compute, what stays as it was, and how they end."""

from __future__ import annotations

import gc
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import BundleFiles
from astroedge.errors import AstroEdgeError, BundleError, InputError
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.runtimes.session.stream_memory import HostMemory
from tests.support.bundles import (
    FEATURES,
    NEURONS,
    READOUTS,
    TOKENS,
    TinyModel,
    draw_ticks,
    edited,
    make_tiny_bundle,
    one_tick,
    weights_bytes,
)


def test_steps_equal_the_layer_in_numpy(session: CompiledSession) -> None:
    """A thousand ticks give the bits of the same layer in NumPy: outputs, public states, counts."""
    model, inputs = TinyModel(), draw_ticks(1000)
    active = 0
    for token, x, gate in zip(*inputs.values(), strict=True):
        y, spikes = model.step(int(token[0]), x, gate)
        outputs = session.step(token=token, x=x, gate=gate)
        assert outputs["y"].tobytes() == y.tobytes()
        assert np.array_equal(outputs["spikes"], spikes)
        active += int(spikes.sum())
    assert session.states["lif.v"].tobytes() == model.v.tobytes()
    assert session.states["lif.threshold"].tobytes() == model.threshold.tobytes()
    assert session.states["ticks"] == 1000
    count = session.activity()["lif.spikes"]
    assert (count.active, count.elements, count.ticks) == (active, 1000 * NEURONS, 1000)
    assert 0.05 < count.firing_rate < 0.3, "the layer must fire, or the test proves nothing"


TICK = st.tuples(
    st.integers(0, TOKENS - 1),
    hnp.arrays(np.float32, (1, FEATURES), elements=st.floats(-4, 4, width=32)),
    hnp.arrays(np.float16, (2,), elements=st.floats(-4, 4, width=16)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(TICK, st.sampled_from(["reset", "save", "restore"])), max_size=30))
def test_any_history_equals_the_layer_in_numpy(history: list[Any]) -> None:
    """Steps, resets, snapshots and going back to them, in any order, keep session and NumPy layer equal."""
    session, model = astroedge.load(make_cached()), TinyModel()
    saved, saved_model = session.state.copy(), dict(vars(model))
    for event in history:
        if event == "reset":
            session.reset()
            model.reset()
        elif event == "save":
            saved, saved_model = session.state.copy(), {key: np.copy(value) for key, value in vars(model).items()}
        elif event == "restore":
            session.state = saved
            vars(model).update({key: np.copy(value) for key, value in saved_model.items()})
        else:
            y, spikes = model.step(*event)
            outputs = session.step(token=event[0], x=event[1], gate=event[2])
            assert outputs["y"].tobytes() == y.tobytes()
            assert np.array_equal(outputs["spikes"], spikes)
    assert session.states["lif.v"].tobytes() == np.asarray(model.v).tobytes()


_CACHED: list[Bundle] = []


def make_cached() -> Bundle:
    """One bundle for all examples of a property test."""
    if not _CACHED:
        _CACHED.append(make_tiny_bundle())
    return _CACHED[0]


@pytest.mark.parametrize("ticks", [0, 1, 2, 77])
def test_run_equals_steps(bundle: Bundle, ticks: int) -> None:
    """A run gives what as many steps give, with a leading axis of ticks, and leaves the same state."""
    inputs = draw_ticks(ticks)
    with astroedge.load(bundle) as whole, astroedge.load(bundle) as single:
        outputs = whole.run(**inputs)
        assert outputs["y"].shape == (ticks, 1, READOUTS)
        assert outputs["spikes"].dtype == bool
        assert outputs["spikes"].shape == (ticks, 1, NEURONS)
        for tick in range(ticks):
            one = single.step(**{name: array[tick] for name, array in inputs.items()})
            assert all(one[name].tobytes() == outputs[name][tick].tobytes() for name in one)
        assert np.array_equal(whole.state, single.state)
        assert whole.activity() == single.activity()


def test_reset_and_snapshots(session: CompiledSession) -> None:
    """A reset goes back to the initial values, a snapshot to any tick, private states included."""
    start = session.state.copy()
    inputs = draw_ticks(40)
    session.run(**inputs)
    middle = session.state.copy()
    first = session.run(**inputs)
    session.state = middle
    assert np.array_equal(session.run(**inputs)["spikes"], first["spikes"])
    session.reset()
    assert np.array_equal(session.state, start)
    assert np.array_equal(session.states["lif.threshold"], np.ones((1, NEURONS), np.float32))


@pytest.mark.parametrize(
    "snapshot", [np.zeros(10, np.uint8), np.zeros(384, np.int8), np.zeros((1, 384), np.uint8), b"x"]
)
def test_wrong_snapshot_is_refused(session: CompiledSession, snapshot: Any) -> None:
    """Only a uint8 array of the state's size is a snapshot."""
    state = session.state.copy()
    with pytest.raises(InputError, match="snapshot"):
        session.state = snapshot
    assert np.array_equal(session.state, state)


def test_state_views_are_public_and_read_only(session: CompiledSession) -> None:
    """Public states can be looked at by name, shaped; private ones are not shown, and none can be written."""
    assert {name: view.shape for name, view in session.states.items()} == {
        "lif.v": (1, NEURONS),
        "lif.threshold": (1, NEURONS),
        "ticks": (),
    }
    for view in (session.state, *session.states.values()):
        with pytest.raises(ValueError, match="read-only"):
            view[...] = 0
    with pytest.raises(TypeError):
        session.states["lif.v"] = np.zeros(3)  # type: ignore[index]


def test_sessions_of_one_bundle_are_independent(bundle: Bundle) -> None:
    """Two streams share weights and code, and nothing that changes."""
    with astroedge.load(bundle) as one, astroedge.load(bundle) as two:
        untouched = two.state.copy()
        one.run(**draw_ticks(30))
        assert np.array_equal(two.state, untouched)
        assert two.activity()["lif.spikes"].active == 0


def weights_of(session: CompiledSession) -> NDArray[np.uint8]:
    """The weights that a session reads."""
    assert isinstance(session._memory, HostMemory)
    return session._memory.weights


@pytest.mark.guard
def test_sessions_of_one_bundle_share_its_weights(bundle: Bundle) -> None:
    """However many streams there are, the weights are in memory once.

    A guard: copies would compute the same numbers.
    """
    with astroedge.load(bundle) as one, astroedge.load(bundle) as two:
        assert np.shares_memory(weights_of(one), weights_of(two))


def test_activity_counts_from_the_last_reset_of_it(session: CompiledSession) -> None:
    """Counts go on over a reset of the state and start again when asked to."""
    session.run(**draw_ticks(30))
    before = session.activity()["lif.spikes"]
    session.reset()
    assert session.activity()["lif.spikes"] == before
    session.reset_activity()
    assert session.activity()["lif.spikes"].ticks == 0
    assert session.activity()["lif.spikes"].firing_rate == 0
    session.run(**draw_ticks(30))
    assert session.activity()["lif.spikes"] == before


def test_closed_session_says_so_and_its_arrays_live_on(bundle: Bundle) -> None:
    """After close every use is one clear error; arrays given out before keep their values."""
    session = astroedge.load(bundle)
    outputs, states = session.run(**draw_ticks(30)), session.states
    expected = states["lif.v"].copy()
    session.close()
    session.close()
    gc.collect()
    assert np.array_equal(states["lif.v"], expected)
    assert outputs["y"].shape[0] == 30
    uses = [
        lambda: session.step(**one_tick()),
        lambda: session.run(**draw_ticks(2)),
        lambda: session.reset(),
        lambda: session.state,
        lambda: session.states,
        lambda: session.activity(),
        lambda: session.reset_activity(),
        lambda: setattr(session, "state", expected),
    ]
    for use in uses:
        with pytest.raises(AstroEdgeError, match="session is closed"):
            use()


def test_bundle_on_disk_gives_the_same_session(bundle: Bundle, tmp_path: Path) -> None:
    """Loading from a folder, trusted or not, computes what the bundle in memory computes."""
    bundle.save(tmp_path / "tiny.astro")
    inputs = draw_ticks(25)
    with astroedge.load(bundle) as session:
        expected = session.run(**inputs)["y"]
    for trust in (False, True):
        with astroedge.load(str(tmp_path / "tiny.astro"), trust_weights=trust) as session:
            assert np.array_equal(session.run(**inputs)["y"], expected)


def test_library_of_another_bundle_is_refused(bundle: Bundle) -> None:
    """A library that was linked for another manifest does not load, nor one that describes another step than it."""
    other = Bundle(replace(bundle.manifest, model="other"), BundleFiles(bundle.library(), weights_bytes()))
    with pytest.raises(BundleError, match=r"linked for another manifest\.json"):
        astroedge.load(other)
    for name, value, said in (("model", "other", "the model"), ("threads", 4, "threads"), ("activity", (), "counters")):
        with pytest.raises(BundleError, match=f"disagree on .*{said}"):
            astroedge.load(edited(bundle, **{name: value}))


def test_no_library_is_refused(bundle: Bundle) -> None:
    """Bytes that are no library are a BundleError."""
    content = b"not a library, but with " + bundle.linked_digest.encode()
    with pytest.raises(BundleError, match="cannot be loaded"):
        astroedge.load(Bundle(bundle.manifest, BundleFiles(content, weights_bytes())))


def test_second_thread_in_a_running_session_is_refused(bundle: Bundle) -> None:
    """Using one session from two threads at once is an error instead of mixed ticks."""
    with astroedge.load(bundle) as session:
        worker = threading.Thread(target=session.run, kwargs=draw_ticks(200_000))

        def use_it_meanwhile() -> None:
            while worker.is_alive():
                session.reset()

        worker.start()
        with pytest.raises(AstroEdgeError, match="own session"):
            use_it_meanwhile()
        worker.join()
        session.reset()
