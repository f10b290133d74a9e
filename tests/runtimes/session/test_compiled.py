"""Sessions on compiled bundles: what they compute, what they refuse, and what stays as it was."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import BufferField, BundleFiles, InputField, Layout, StateField
from astroedge.errors import AstroEdgeError, BundleError, InputError
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from astroedge.targets.boards.target import resolve_target
from tests.support.bundles import (
    FEATURES,
    NEURONS,
    READOUTS,
    TOKENS,
    TinyModel,
    draw_ticks,
    make_bundle,
    make_tiny_bundle,
    tiny_manifest,
    weights_bytes,
)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """The tiny layer."""
    return make_tiny_bundle(assets={"labels.txt": b"a\n"})


@pytest.fixture
def session(bundle: Bundle) -> Iterator[CompiledSession]:
    """A fresh session of it."""
    with astroedge.load(bundle) as opened:
        yield opened


def one_tick() -> dict[str, Any]:
    """Good inputs of one tick."""
    return {name: array[0] for name, array in draw_ticks(1).items()}


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


def test_run_takes_any_memory_layout(session: CompiledSession) -> None:
    """Inputs that are not contiguous, or read only, are packed right."""
    inputs = draw_ticks(20)
    expected = session.run(**inputs)
    session.reset()
    wide = {name: np.repeat(array, 2, axis=0)[::2] for name, array in inputs.items()}
    wide["x"] = np.asfortranarray(inputs["x"])
    wide["token"].flags.writeable = False
    found = session.run(**wide)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_python_numbers_for_inputs_of_size_one(session: CompiledSession) -> None:
    """A Python number or a NumPy scalar of the right dtype stands for an input of size 1."""
    tick = one_tick()
    expected = session.step(**{**tick, "token": np.array([7])})
    for token in (7, np.int64(7), np.array([7], np.int64)):
        session.reset()
        assert np.array_equal(session.step(**{**tick, "token": token})["y"], expected["y"])


class Subclass(np.ndarray[Any, Any]):
    """An array type of someone else, such as numpy.memmap is."""


def test_subclasses_of_arrays_are_arrays(session: CompiledSession) -> None:
    """An array subclass of the right shape and dtype is taken."""
    tick = one_tick()
    expected = session.step(**tick)
    session.reset()
    assert np.array_equal(session.step(**{**tick, "x": tick["x"].view(Subclass)})["y"], expected["y"])


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "wrong name": ({"tokens": 1, "token": None}, r"no input 'tokens'; did you mean 'token'\?"),
    "missing": ({"gate": None}, "'gate' is missing"),
    "extra": ({"y": np.zeros(3)}, "no input 'y'"),
    "wrong shape": ({"x": np.zeros(FEATURES, np.float32)}, r"float32 \(1, 8\).*float32 \(8,\)"),
    "transposed": ({"x": np.zeros((FEATURES, 1), np.float32)}, r"\(8, 1\)"),
    "scalar array": ({"token": np.array(3)}, r"int64 \(1,\) or a Python number and got int64 \(\)"),
    "wider float": ({"x": np.zeros((1, FEATURES))}, r"float64 \(1, 8\)"),
    "narrower integer": ({"token": np.array([3], np.int32)}, "int32"),
    "other byte order": ({"x": np.zeros((1, FEATURES), ">f4")}, ">f4"),
    "NumPy scalar of another dtype": ({"token": np.int32(3)}, "int32 scalar"),
    "NumPy scalar for many elements": ({"x": np.float32(3)}, "float32 scalar"),
    "list": ({"x": [[0.0] * FEATURES]}, "list"),
    "number for many elements": ({"x": 1.0}, "float 1.0"),
    "float for an integer": ({"token": 3.0}, "float 3.0"),
    "bool for an integer": ({"token": True}, "bool True"),
    "text": ({"token": "3"}, "str '3'"),
    "None": ({"token": ...}, "ellipsis"),
    "number too large": ({"token": 2**63}, "int64 does not hold"),
    "token out of range": ({"token": TOKENS}, rf"'token' is {TOKENS} at \[0\]; it must be from 0 to {TOKENS - 1}"),
    "negative token": ({"token": np.array([-1])}, r"is -1 at \[0\]"),
    "NaN": ({"x": np.array([[0, 1, 2, np.nan, 4, 5, 6, 7]], np.float32)}, r"'x' holds a NaN at \[0, 3\]"),
    "NaN in float16": ({"gate": np.array([0, np.nan], np.float16)}, r"'gate' holds a NaN at \[1\]"),
}


@pytest.mark.parametrize(("change", "match"), REFUSED.values(), ids=REFUSED)
def test_refused_input_leaves_the_state(session: CompiledSession, change: dict[str, Any], match: str) -> None:
    """Each wrong input is one clear line that names it, and state and counts are as before."""
    session.step(**one_tick())
    state, activity = session.state.copy(), session.activity()
    inputs = {name: value for name, value in {**one_tick(), **change}.items() if value is not None}
    with pytest.raises(InputError, match=match) as caught:
        session.step(**inputs)
    assert "\n" not in str(caught.value)
    assert np.array_equal(session.state, state)
    assert session.activity() == activity
    session.step(**one_tick())


RUN_REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "wrong name": ({"token_": np.zeros((9, 1), np.int64), "token": None}, "did you mean 'token'"),
    "one tick's shape": ({"token": np.zeros(9, np.int64)}, r"\(9, 1\).*got int64 \(9,\)"),
    "number": ({"token": 3}, "leading axis"),
    "different lengths": ({"x": np.zeros((8, 1, FEATURES), np.float32)}, r"\(9, 1, 8\).*\(8, 1, 8\)"),
    "wrong dtype": ({"x": np.zeros((9, 1, FEATURES))}, "float64"),
    "NaN in a later tick": ({"gate": np.full((9, 2), [0, np.nan], np.float16)}, r"NaN at \[1\] in tick 0"),
    "token in a later tick": ({"token": np.array([[0]] * 8 + [[99]])}, r"is 99 at \[0\] in tick 8 of this run"),
    "number of ticks twice": ({"steps": 9}, "steps= is for"),
}


@pytest.mark.parametrize(("change", "match"), RUN_REFUSED.values(), ids=RUN_REFUSED)
def test_refused_run_leaves_the_state(session: CompiledSession, change: dict[str, Any], match: str) -> None:
    """A run is refused as a whole, before its first tick, even when only its last tick is wrong."""
    state = session.state.copy()
    inputs = {name: value for name, value in {**draw_ticks(9), **change}.items() if value is not None}
    with pytest.raises(InputError, match=match) as caught:
        session.run(**inputs)
    assert "\n" not in str(caught.value)
    assert np.array_equal(session.state, state)
    assert session.activity()["lif.spikes"].ticks == 0


def test_outputs_are_fresh_or_the_arrays_given(session: CompiledSession) -> None:
    """A step's outputs are its own; with `out` they go into the caller's arrays, and only into those named."""
    first = session.step(**one_tick())
    kept = {name: array.copy() for name, array in first.items()}
    given = {"y": np.empty((1, READOUTS), np.float32)}
    assert session.step(**one_tick(), out=given) is given
    assert all(np.array_equal(first[name], kept[name]) for name in kept)
    session.reset()
    session.step(**one_tick())
    assert np.array_equal(session.step(**one_tick())["y"], given["y"])


BAD_OUT: list[tuple[Any, str]] = [
    ({"z": np.zeros(3)}, r"no output 'z'\. It has y"),
    ([1], "dict of arrays .* list"),
    (np.zeros((1, READOUTS), np.float32), "dict of arrays .* ndarray"),
    ({"y": np.zeros((1, READOUTS))}, "float32"),
    ({"y": np.zeros((READOUTS,), np.float32)}, "float32"),
    ({"y": [0.0]}, "NumPy array"),
    ({"y": np.broadcast_to(np.float32(0), (1, READOUTS))}, "writeable"),
]


@pytest.mark.parametrize(("out", "match"), BAD_OUT)
def test_wrong_out_is_refused_before_the_tick(session: CompiledSession, out: Any, match: str) -> None:
    """An `out` that outputs do not fit is refused and the state is unchanged."""
    state = session.state.copy()
    with pytest.raises(InputError, match=match):
        session.step(**one_tick(), out=out)
    assert np.array_equal(session.state, state)


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
        assert np.shares_memory(one._weights, two._weights)


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
    """A library and a manifest that describe different steps do not load, whatever their digests."""
    other = Bundle(replace(bundle.manifest, model="other"), BundleFiles(bundle.library(), weights_bytes()))
    with pytest.raises(BundleError, match="disagree on the model"):
        astroedge.load(other)
    fewer = Bundle(replace(bundle.manifest, activity=()), BundleFiles(bundle.library(), weights_bytes()))
    divided = Bundle(replace(bundle.manifest, threads=4), BundleFiles(bundle.library(), weights_bytes()))
    with pytest.raises(BundleError, match="disagree on threads"):
        astroedge.load(divided)
    with pytest.raises(BundleError, match="disagree on the activity counters"):
        astroedge.load(fewer)


def test_no_library_is_refused(bundle: Bundle) -> None:
    """Bytes that are no library are a BundleError."""
    with pytest.raises(BundleError, match="cannot be loaded"):
        astroedge.load(Bundle(bundle.manifest, BundleFiles(b"not a library", weights_bytes())))


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


def free_bundle(names: tuple[str, ...]) -> Bundle:
    """A step that counts in its state and gives the count, with inputs of the names given."""
    target = resolve_target("native")
    layout = Layout(
        inputs_size=64 * len(names),
        inputs=tuple(
            InputField(name, (), "float32", 64 * index, 4, True, False, 0, 0, "uniform", 0)
            for index, name in enumerate(names)
        ),
        outputs_size=64,
        outputs=(BufferField("count", (), "int64", 0, 8),),
        state_size=64,
        state=(StateField("count", (), "int64", 0, 8, False, (40.0).hex(), 0),),
        weights_size=0,
        weights=(),
        workspace_size=0,
    )
    step = StepSpec(
        inputs=tuple(TensorSpec(name, (), "float32") for name in names),
        outputs=(TensorSpec("count", (), "int64"),),
        states=(StateSpec("count", (), "int64", initial=40.0),),
    )
    tick = "int astroedge_tick(float *i, long long *o, long long *s) { *o = ++*s + (long long)SUM; return 0; }"
    total = " + ".join(f"i[{16 * index}]" for index in range(len(names))) or "0"
    manifest = replace(tiny_manifest(target), layout=layout, step=step, activity=())
    return make_bundle(manifest, tick.replace("SUM", total), b"", target)


def test_step_without_inputs_weights_and_workspace() -> None:
    """A step that reads only its state runs; `steps` says for how long."""
    with astroedge.load(free_bundle(())) as session:
        assert session.step() == {"count": 41}
        assert session.run(steps=3)["count"].tolist() == [42, 43, 44]
        assert session.run(steps=0)["count"].shape == (0,)
        for steps in (None, -1, 2.0):
            with pytest.raises(InputError, match="steps="):
                session.run(steps=steps)
        assert session.activity() == {}


def test_inputs_with_the_names_of_options() -> None:
    """Inputs called self, out and steps are inputs like others."""
    with astroedge.load(free_bundle(("self", "out", "steps"))) as session:
        assert session.step(**{"self": 1.0, "out": 2.0, "steps": 3})["count"] == 47
        three = np.ones(3, np.float32)
        assert session.run(**{"self": three, "out": three, "steps": three})["count"].tolist() == [45, 46, 47]


def test_python_numbers_are_held_exactly_or_refused() -> None:
    """A number too large for float32 is refused; infinity passes; NaN is refused by the native check."""
    with astroedge.load(free_bundle(("x",))) as session:
        for value in (1e39, -(10**400)):
            with pytest.raises(InputError, match="float32 does not hold"):
                session.step(x=value)
        for value in (float("nan"), np.float32("nan")):
            with pytest.raises(InputError, match=r"NaN at \[\]"):
                session.step(x=value)
        session.step(x=float("inf"))
