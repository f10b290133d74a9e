"""Pools: streams that are stepped together are the same streams as alone; what happens to one happens to it alone."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import astroedge
from astroedge import Pool, load, load_pool
from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import Device
from astroedge.errors import AstroEdgeError, IncompatibleError, InputError
from astroedge.runtimes.session.pool import refuse_unsuitable
from astroedge.runtimes.session.session_team import BUSY
from astroedge.runtimes.session.stream_calls import WORTH_A_TEAM
from tests.support.bundles import FEATURES, TOKENS, make_tiny_bundle
from tests.support.teams import stirred, team_bundle

STREAMS = 5
LONG = 3000  # ticks of the tiny layer that are worth waking threads for


def inputs_of(seed: int, *leading: int) -> dict[str, np.ndarray]:
    """Inputs of the tiny layer with some leading axes."""
    draw = np.random.default_rng(seed)
    return {
        "token": draw.integers(0, TOKENS, (*leading, 1)),
        "x": draw.uniform(-1, 1, (*leading, 1, FEATURES)).astype(np.float32),
        "gate": draw.uniform(-1, 1, (*leading, 2)).astype(np.float16),
    }


def assert_same(pool: Pool, alone: list[Any]) -> None:
    """Every stream of a pool stands where a session of its own stands."""
    for stream, session in zip(pool, alone, strict=True):
        assert np.array_equal(stream.state, session.state)
        assert (stream.ticks, stream.activity()) == (session.ticks, session.activity())


class Both:
    """A pool beside sessions that do the same; every method does one thing to both and compares what they give."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self.pool = load_pool(bundle, STREAMS, threads=threads)
        self.alone = [load(bundle) for _ in range(STREAMS)]
        self.saved = [self.alone[0].snapshot()]

    def step(self, seed: int, streams: list[int] | None) -> None:
        """A tick of some or all."""
        numbers = list(range(STREAMS)) if streams is None else streams
        inputs = inputs_of(seed, len(numbers))
        together = self.pool.step(streams=streams, **inputs)
        for place, number in enumerate(numbers):
            for name, value in self.alone[number].step(**{k: v[place] for k, v in inputs.items()}).items():
                assert np.array_equal(together[name][place], value)

    def run(self, seed: int, streams: list[int] | None) -> None:
        """Some ticks of some or all, or none."""
        numbers = list(range(STREAMS)) if streams is None else streams
        inputs = inputs_of(seed, len(numbers), seed % 5)
        together = self.pool.run(streams=streams, **inputs)
        for place, number in enumerate(numbers):
            for name, value in self.alone[number].run(**{k: v[place] for k, v in inputs.items()}).items():
                assert np.array_equal(together[name][place], value)

    def step_one(self, seed: int, streams: list[int] | None) -> None:
        """A tick of a stream alone."""
        number, inputs = (streams or [0])[0], inputs_of(seed)
        expected, found = self.alone[number].step(**inputs), self.pool[number].step(**inputs)
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[name], value) for name, value in expected.items())

    def reset(self, seed: int, streams: list[int] | None) -> None:
        """Reset some, or the pool."""
        for number in range(STREAMS) if streams is None else streams:
            self.alone[number].reset()
        if streams is None:
            self.pool.reset()
        else:
            for number in streams:
                self.pool[number].reset()

    def save(self, seed: int, streams: list[int] | None) -> None:
        """Keep a stream."""
        number = (streams or [0])[0]
        self.saved.append(self.pool[number].snapshot())
        assert self.saved[-1] == self.alone[number].snapshot()

    def restore(self, seed: int, streams: list[int] | None) -> None:
        """Go on with a stream that was kept, in any place."""
        number, content = (streams or [0])[-1], self.saved[seed % len(self.saved)]
        self.pool[number].restore(content)
        self.alone[number].restore(content)

    def refuse(self, seed: int, streams: list[int] | None) -> None:
        """Inputs one of which is refused change no stream."""
        inputs = inputs_of(seed, STREAMS)
        inputs["x"][seed % STREAMS, 0, 3] = np.nan
        with pytest.raises(InputError, match=f"^Stream {seed % STREAMS}: Input 'x' holds a NaN at \\[0, 3\\];"):
            self.pool.step(**inputs)


ACTS = (Both.step, Both.run, Both.step_one, Both.reset, Both.save, Both.restore, Both.refuse)
NUMBERS = st.none() | st.lists(st.integers(0, STREAMS - 1), unique=True, max_size=STREAMS)


@pytest.mark.parametrize("threads", [1, 3])
@settings(max_examples=8, deadline=None)
@given(acts=st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 10_000), NUMBERS), max_size=16))
def test_streams_are_those_of_separate_sessions(acts: list[Any], threads: int) -> None:
    """Whatever is done to streams in whatever order, together or alone, each has the bits of a session of its own."""
    both = Both(make_tiny_bundle(), threads)
    with both.pool:
        for act, seed, streams in acts:
            act(both, seed, streams)
            assert_same(both.pool, both.alone)


def test_work_that_is_not_worth_waking_for_is_left_to_one_thread() -> None:
    """Calls of a team that are short let one thread try, which then does such work alone."""
    inputs = inputs_of(3, STREAMS)
    with load_pool(make_tiny_bundle(), STREAMS, threads=8) as pool:
        calls = pool._native
        calls._note(1000, STREAMS, STREAMS, alone=False)
        assert not calls._is_worth_a_team(STREAMS)
        assert calls._is_worth_a_team(100 * STREAMS)  # more than what was short
        pool.step(**inputs)
        assert calls._pace < WORTH_A_TEAM
        assert not calls._is_worth_a_team(1)


def test_what_was_asked_for_and_not_made_says_nothing_of_the_pace() -> None:
    """A run that was stopped before its first tick took no time for ticks."""
    with load_pool(make_tiny_bundle(), STREAMS, threads=2) as pool:
        pool._native._note(10, 0, 10**6, alone=True)
        assert pool._native._pace == WORTH_A_TEAM


def test_a_reset_that_is_refused_resets_nothing() -> None:
    """While one stream is in the middle of a tick, the pool changes none."""
    with load_pool(make_tiny_bundle(), 3, threads=1) as pool:
        pool.step(**{name: array[:3] for name, array in inputs_of(4, STREAMS).items()})
        pool[1]._unavailable = BUSY
        with pytest.raises(AstroEdgeError):
            pool.reset()
        pool[1]._unavailable = ""
        assert [stream.ticks for stream in pool] == [1, 1, 1]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_no_bit(threads: int) -> None:
    """Ticks that are worth waking the team for are the same on any number of threads, which end with the pool."""
    inputs = inputs_of(7, STREAMS, LONG)
    before = set(threading.enumerate())
    with load_pool(make_tiny_bundle(), STREAMS, threads=threads) as pool:
        assert pool.threads == threads == len(set(threading.enumerate()) - before) + 1
        pool._native._pace = WORTH_A_TEAM
        for _ in range(2):
            found = pool.run(**inputs)
        with load(make_tiny_bundle()) as session:
            for number in range(STREAMS):
                session.reset()
                for _ in range(2):
                    expected = session.run(**{name: array[number] for name, array in inputs.items()})
                assert all(np.array_equal(found[name][number], expected[name]) for name in expected)
                assert np.array_equal(pool[number].state, session.state)
    assert set(threading.enumerate()) == before


def test_threads_are_no_more_than_streams_and_a_pool_of_one_has_its_caller() -> None:
    """A stream is computed by one thread, so more of them would have nothing to do."""
    assert load_pool(make_tiny_bundle(), 2, threads=9).threads == 2
    assert load_pool(make_tiny_bundle(), 1).threads == 1


def test_numbers_stand_for_inputs_of_size_one() -> None:
    """One number a stream, as an array or a list, is as good as an array with the input's own axes."""
    inputs = inputs_of(3, STREAMS)
    with load_pool(make_tiny_bundle(), STREAMS) as pool, load_pool(make_tiny_bundle(), STREAMS) as other:
        found = pool.step(**inputs)["y"]
        assert np.array_equal(found, other.step(**{**inputs, "token": inputs["token"][:, 0].tolist()})["y"])
        assert found.shape == (STREAMS, *pool.spec.outputs[0].shape)


REFUSED: dict[str, Callable[[Pool], object]] = {
    "The pool has no stream 5; its streams are 0 to 4": lambda pool: pool[5],
    "The pool has no stream -1;": lambda pool: pool[-1],
    "The pool has no stream True;": lambda pool: pool[True],
    "The pool has no stream 7;": lambda pool: pool.step(streams=[0, 7], **inputs_of(0, 2)),
    "streams= names stream 2 twice": lambda pool: pool.step(streams=[2, 1, 2], **inputs_of(0, 3)),
    "streams= takes the numbers .* got the int 3": lambda pool: pool.step(streams=3, **inputs_of(0, 1)),
    r"'token' of a pool takes a NumPy array int64 \(5, 1\), a row for each of the 5 .* got int64 \(4, 1\)": (
        lambda pool: pool.step(**inputs_of(0, 4))
    ),
    r"'gate' .* float16 \(5, 2, 2\), .* got float16 \(5, 3, 2\)": (
        lambda pool: pool.run(**{**inputs_of(0, 5, 2), "gate": inputs_of(0, 5, 3)["gate"]})
    ),
    r"'x' of a pool takes a NumPy array float32": lambda pool: pool.step(
        **{**inputs_of(0, 5), "x": np.ones((5, 1, 8))}
    ),
    "'x' of a pool must be a NumPy array .* is the str 'no'": lambda pool: pool.step(**{**inputs_of(0, 5), "x": "no"}),
    "Input 'gate' is missing": lambda pool: pool.step(token=[1] * 5, x=np.ones((5, 1, 8), np.float32)),
    "no input 'y'": lambda pool: pool.step(**inputs_of(0, 5), y=1),
    "Inputs are given by name": lambda pool: pool.step(inputs_of(0, 5)),
    "steps= is for a step without inputs": lambda pool: pool.run(steps=3, **inputs_of(0, 5, 3)),
    r"Stream 3: Input 'token' is 99 at \[0\]": lambda pool: pool.step(
        streams=[1, 3], **{**inputs_of(0, 2), "token": np.array([[1], [99]])}
    ),
    r"Stream 1: Input 'token' is 99 at \[0\] in tick 1 of this run": lambda pool: pool.run(
        streams=[1, 3], **{**inputs_of(0, 2, 2), "token": np.array([[[1], [99]], [[1], [1]]])}
    ),
}


def test_wrong_calls_say_what_is_wrong_and_change_nothing() -> None:
    """Wrong numbers of streams, leading axes, names and values are InputErrors in one line."""
    with load_pool(make_tiny_bundle(), STREAMS) as pool:
        pool.step(**inputs_of(1, STREAMS))
        before = [stream.state.copy() for stream in pool]
        for message, call in REFUSED.items():
            with pytest.raises(InputError, match=message) as caught:
                call(pool)
            assert "\n" not in str(caught.value)
        assert all(np.array_equal(stream.state, state) for stream, state in zip(pool, before, strict=True))
        assert [stream.ticks for stream in pool] == [1] * STREAMS


@pytest.mark.parametrize(("streams", "threads"), [(0, None), (-1, None), (70_000, None), (True, None), (2, 0), (2, 65)])
def test_pools_that_cannot_be_are_refused(streams: Any, threads: Any) -> None:
    """A number of streams or threads that no pool has is an InputError."""
    with pytest.raises(InputError, match="must be a whole number from 1 to"):
        load_pool(make_tiny_bundle(), streams, threads=threads)


def test_streams_that_no_memory_holds_and_those_of_a_gpu_are_refused() -> None:
    """Both say what to do instead."""
    manifest = make_tiny_bundle().manifest
    large = replace(manifest, layout=replace(manifest.layout, state_size=2**50))
    with pytest.raises(IncompatibleError, match=r"3 streams of 'tiny' take .* ask for fewer with streams="):
        refuse_unsuitable(large, 3)
    with pytest.raises(InputError, match=r"a GPU's, .* --batch"):
        refuse_unsuitable(replace(manifest, device=Device("cuda", "step", 256, 1, 0, "none", ())), 2)


def test_closing_a_stream_closes_it_alone_and_closing_the_pool_all() -> None:
    """The others go on; arrays that were given out stay; nothing is computed by what is closed."""
    pool = load_pool(make_tiny_bundle(), STREAMS, threads=2)
    outputs = pool.step(**inputs_of(1, STREAMS))
    kept = outputs["y"].copy()
    stream = pool[3]
    stream.close()
    with pytest.raises(AstroEdgeError, match="Stream 3 cannot make a tick: The session is closed"):
        pool.step(**inputs_of(1, STREAMS))
    with pytest.raises(AstroEdgeError, match="closed"):
        stream.step(**inputs_of(1))
    assert pool.step(streams=[0, 1, 2, 4], **inputs_of(1, 4))["y"].shape[0] == 4
    pool.reset()
    assert pool[4].ticks == 0
    assert repr(pool) == "<Pool of 5 streams of tiny for native, float32, 2 threads>"
    other = pool[4]
    pool.close()
    pool.close()
    for call in (
        lambda: pool.step(**inputs_of(1, STREAMS)),
        lambda: pool[0],
        lambda: list(pool),
        lambda: other.step(**inputs_of(1)),
    ):
        with pytest.raises(AstroEdgeError, match="closed"):
            call()
    assert repr(pool) == "<Pool of 5 streams of tiny, closed>"
    assert np.array_equal(outputs["y"], kept)


def test_a_pool_is_not_copied() -> None:
    """A copy would share its buffers."""
    with load_pool(make_tiny_bundle(), 2) as pool, pytest.raises(AstroEdgeError, match="neither copied nor pickled"):
        copy.copy(pool)


def refusal_of(call: Callable[[], object]) -> str:
    """What a call is refused with; "" when it is not."""
    try:
        call()
    except AstroEdgeError as error:
        return str(error)
    return ""


class Meddler:
    """Another library's array that makes calls when it is asked for its numbers, in the middle of a tick."""

    def __init__(self, array: np.ndarray, *calls: Callable[[], object]) -> None:
        self.array, self.calls, self.refused = array, calls, list[str]()

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        self.refused += [text for call in self.calls if (text := refusal_of(call))]
        return self.array


def test_what_makes_a_tick_makes_no_other_meanwhile() -> None:
    """While a pool makes ticks it and its streams are refused, and not closed; a stream's own tick hinders the pool."""
    with load_pool(make_tiny_bundle(), 2) as pool:
        both, one = inputs_of(1, 2), inputs_of(1)
        meddler = Meddler(both["x"], lambda: pool[0].step(**one), lambda: pool.step(**both), pool.close)
        pool.step(**{**both, "x": meddler})
        assert ["in the middle of a tick" in text for text in meddler.refused] == [True] * 3
        meddler = Meddler(one["x"], lambda: pool.step(**both), pool.close, lambda: pool[1].step(**one))
        pool[0].step(**{**one, "x": meddler})
        assert ["in the middle of a tick" in text for text in meddler.refused] == [True] * 2
        assert meddler.refused[0].startswith("Stream 0 cannot make a tick: ")
        assert [stream.ticks for stream in pool] == [2, 2]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_both_processes_go_on_after_a_fork() -> None:
    """The child starts threads of its own at its first call; both give the right bits."""
    inputs = np.random.default_rng(9).integers(0, 600, (3, 40, 1))
    expected = [stirred(row)[0] for row in inputs]
    with load_pool(team_bundle(), 3, threads=3) as pool:
        first = pool.run(x=inputs[:, :10])["y"]
        child = os.fork()
        code = 1
        try:
            pool._native._pace = WORTH_A_TEAM
            found = np.concatenate([first, pool.run(x=inputs[:, 10:])["y"]], axis=1)
            if all(np.array_equal(one.view(np.uint64), right) for one, right in zip(found, expected, strict=True)):
                code = 0
        finally:
            if child == 0:
                os._exit(code)
        assert code == 0
        assert os.waitpid(child, 0)[1] == 0


def test_public_names() -> None:
    """A pool is for annotations, `load_pool` makes one."""
    assert isinstance(load_pool(make_tiny_bundle(), 1), astroedge.Pool)
