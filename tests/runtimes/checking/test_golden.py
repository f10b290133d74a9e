"""The golden trace: the documented generator, replays that agree, and replays that do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import Golden, InputField
from astroedge.errors import InputError
from astroedge.runtimes.checking import golden
from astroedge.runtimes.checking.golden import draw_field, draw_inputs, replay, splitmix64, trace
from astroedge.runtimes.session.compiled import CompiledSession
from tests.support.bundles import FEATURES, SEED, TOKENS, draw_ticks, make_tiny_bundle

MASK = 2**64 - 1


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """The tiny layer with its golden trace."""
    return make_tiny_bundle()


@pytest.fixture
def session(bundle: Bundle) -> Iterator[CompiledSession]:
    """A fresh session of it."""
    with astroedge.load(bundle) as opened:
        yield opened


def splitmix64_in_python(seed: int) -> Iterator[int]:
    """The generator as astro_abi.h writes it down."""
    while True:
        seed = (seed + 0x9E3779B97F4A7C15) & MASK
        z = seed
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        yield z ^ z >> 31


def field(
    dtype: str, draw: str, parameter: int = 0, low: int = 0, high: int = 0, shape: tuple[int, ...] = (1,)
) -> InputField:
    """An input that is drawn in a certain way."""
    return InputField("x", shape, dtype, 0, 0, False, False, low, high, draw, parameter)


def test_published_sequence() -> None:
    """Seed 1234567 gives the values its authors publish."""
    assert splitmix64(1234567, 0, 3).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@given(st.integers(0, MASK), st.integers(0, 50), st.integers(0, 50))
def test_any_stretch_of_any_sequence(seed: int, start: int, count: int) -> None:
    """A stretch drawn at once is the same stretch drawn number by number."""
    generator = splitmix64_in_python(seed)
    expected = [next(generator) for _ in range(start + count)][start:]
    assert splitmix64(seed, start, count).tolist() == expected


@given(st.lists(st.integers(0, MASK), min_size=1), st.integers(-(2**40), 2**40), st.integers(1, 2**32 - 1))
def test_index_draw(numbers: list[int], low: int, span: int) -> None:
    """An index is low + (((x >> 32) * span) >> 32), exactly, so that it stays in range."""
    found = draw_field(field("int64", "index", low=low, high=low + span), np.array(numbers, np.uint64))
    assert found.tolist() == [low + ((x >> 32) * span >> 32) for x in numbers]
    assert found.dtype == np.int64


@given(st.lists(st.integers(0, MASK), min_size=1), st.integers(0, 2**53), st.sampled_from(["bool", "float32", "int8"]))
def test_spike_draw(numbers: list[int], threshold: int, dtype: str) -> None:
    """A spike is 1 where the upper 53 bits are below the threshold: never at 0, always at 2^53."""
    found = draw_field(field(dtype, "spike", threshold), np.array(numbers, np.uint64))
    assert found.tolist() == [x >> 11 < threshold for x in numbers]
    assert found.dtype == dtype


@given(st.lists(st.integers(0, MASK), min_size=1), st.integers(-126, 127))
def test_uniform_draw_of_float32(numbers: list[int], exponent: int) -> None:
    """24 bits become an exact float32 in [-2^p, 2^p), for every exponent float32 has."""
    found = draw_field(field("float32", "uniform", exponent), np.array(numbers, np.uint64))
    assert found.dtype == np.float32
    assert [float(value) for value in found] == [((x >> 40) - 2**23) * 2.0 ** (exponent - 23) for x in numbers]


@given(st.lists(st.integers(0, MASK), min_size=1), st.integers(-14, 15))
def test_uniform_draw_of_float16(numbers: list[int], exponent: int) -> None:
    """11 bits become an exact float16."""
    found = draw_field(field("float16", "uniform", exponent), np.array(numbers, np.uint64))
    assert found.dtype == np.float16
    assert [float(value) for value in found] == [((x >> 53) - 2**10) * 2.0 ** (exponent - 10) for x in numbers]


@given(st.lists(st.integers(0, MASK), min_size=1), st.lists(st.integers(0, 2**53), max_size=5))
def test_values_draw(numbers: list[int], bounds: list[int]) -> None:
    """Of a table the first value is drawn whose bound is above the upper 53 bits."""
    table = tuple((float(index).hex(), below) for index, below in enumerate([*sorted(bounds), 2**53]))
    drawn = field("float16", "values")
    found = draw_field(replace(drawn, values=table), np.array(numbers, np.uint64))
    assert found.tolist() == [sum(x >> 11 >= below for below in bounds) for x in numbers]
    assert found.dtype == np.float16


def test_inputs_of_a_tick_are_drawn_in_layout_order(session: CompiledSession) -> None:
    """A tick takes its numbers field by field, elements ascending; blocks of ticks join without a seam."""
    fields = session.manifest.layout.inputs
    generator = splitmix64_in_python(SEED)
    drawn = draw_inputs(fields, SEED, 0, 3)
    for tick in range(3):
        numbers = np.array([next(generator) for _ in range(1 + FEATURES + 2)], np.uint64)
        assert drawn["token"][tick].tolist() == [int(numbers[0] >> 32) * TOKENS >> 32]
        assert np.array_equal(drawn["x"][tick, 0], draw_field(fields[1], numbers[1 : 1 + FEATURES]))
        assert np.array_equal(drawn["gate"][tick], draw_field(fields[2], numbers[1 + FEATURES :]))
    later = draw_inputs(fields, SEED, 2, 1)
    assert all(np.array_equal(later[name][0], drawn[name][2]) for name in drawn)


@pytest.mark.parametrize("ticks", [2**50, 10**30])
def test_more_ticks_than_memory_holds_are_refused(session: CompiledSession, ticks: int) -> None:
    """`--steps` of thirty digits is one line."""
    with pytest.raises(InputError, match="do not fit into this machine's memory"):
        draw_inputs(session.manifest.layout.inputs, SEED, 0, ticks)


def test_trace_is_what_single_steps_give(session: CompiledSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hashes are those of the buffers after that many single steps, however the run is cut into blocks."""
    monkeypatch.setattr(golden, "_BLOCK", 40)
    found = {item.tick: item for item in trace(session, SEED, (1, 7, 30))}
    session.reset()
    inputs = draw_inputs(session.manifest.layout.inputs, SEED, 0, 30)
    for tick in range(1, 31):
        session.step(**{name: array[tick - 1] for name, array in inputs.items()})
        if tick in found:
            assert found[tick].state == sha256(session.state.tobytes()).hexdigest()
            assert found[tick].outputs == sha256(session.output_bytes.tobytes()).hexdigest()


def test_replay_of_the_bundles_own_trace_agrees(session: CompiledSession) -> None:
    """A sound bundle gives its golden hashes at ticks 1, 10, 100 and 1000, and the stream goes on as if nothing was."""
    session.run(**draw_ticks(5))
    state = session.state.copy()
    result = replay(session)
    assert result.agrees
    assert result.first_difference is None
    assert [item.tick for item in result.found] == [1, 10, 100, 1000]
    assert np.array_equal(session.state, state)


def test_replay_finds_the_first_tick_that_differs(session: CompiledSession) -> None:
    """A trace that differs from tick 100 on is told by that tick."""
    ticks = list(session.manifest.golden.ticks)
    for index in (2, 3):
        ticks[index] = replace(ticks[index], outputs="0" * 64)
    result = replay(session, Golden(SEED, tuple(ticks), {}))
    assert not result.agrees
    assert result.first_difference == session.manifest.golden.ticks[2]


def test_other_seed_gives_another_trace(session: CompiledSession) -> None:
    """The hashes depend on the inputs, so that they prove something."""
    ours, other = trace(session, SEED, (10, 100)), trace(session, SEED + 1, (10, 100))
    assert all(one.state != two.state for one, two in zip(list(ours), list(other), strict=True))


def test_trace_without_ticks_proves_nothing(session: CompiledSession) -> None:
    """An empty trace does not count as agreement."""
    assert not replay(session, Golden(SEED, (), {})).agrees


@pytest.mark.parametrize("ticks", [(0,), (3, 2), (5, 5)])
def test_ticks_ascend(session: CompiledSession, ticks: tuple[int, ...]) -> None:
    """Golden ticks that do not ascend from 1 are refused."""
    with pytest.raises(InputError, match="ascend"):
        list(trace(session, SEED, ticks))
