"""Snapshots: a stream goes on where it was, in a bundle of the same step, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from astroedge.bundle.manifest import Manifest
from astroedge.errors import InputError
from astroedge.runtimes import load
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.runtimes.session.snapshot import check_state, decode_snapshot, encode_snapshot
from astroedge.targets.boards.target import resolve_target
from tests.support.bundles import draw_ticks, make_tiny_bundle, tiny_manifest


@pytest.fixture
def session() -> CompiledSession:
    """A session of the small bundle after five ticks."""
    session = load(make_tiny_bundle())
    session.run(**draw_ticks(5))
    return session


def test_a_stream_goes_on_in_another_session(session: CompiledSession) -> None:
    """State, private states and count of ticks are those of the snapshot; activity counts are the session's own."""
    snapshot, inputs = session.snapshot(), draw_ticks(20, seed=2)
    expected = session.run(**inputs)
    other = load(session.bundle)
    other.run(**draw_ticks(3))
    other.restore(snapshot)
    assert (other.ticks, other.activity()["lif.spikes"].ticks) == (5, 3)
    assert other.snapshot() == snapshot
    given = other.run(**inputs)
    assert all(np.array_equal(given[name], expected[name]) for name in expected)
    assert (other.ticks, session.ticks) == (25, 25)
    other.reset_activity()
    assert (other.ticks, other.activity()["lif.spikes"].ticks) == (25, 0)
    other.reset()
    assert other.ticks == 0


def test_a_stream_goes_on_on_another_target(session: CompiledSession) -> None:
    """A snapshot from this machine is taken by the same step compiled for a board."""
    board = tiny_manifest(resolve_target("raspberry-pi-4"))
    state, ticks = decode_snapshot(board, session.snapshot())
    assert ticks == 5
    assert np.array_equal(state, session.state)
    assert encode_snapshot(board, state, ticks) == session.snapshot()


def moved_state(manifest: Manifest) -> Manifest:
    """The same step with two states in each other's place."""
    first, second, *rest = manifest.layout.state
    places = (replace(first, offset=second.offset), replace(second, offset=first.offset), *rest)
    return replace(manifest, layout=replace(manifest.layout, state=places))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda manifest: replace(manifest, graph_sha256="1" * 64), "another graph"),
        (lambda manifest: replace(manifest, dequantised_sha256="1" * 64, precision="int8"), "precision int8"),
        (lambda manifest: replace(manifest, math="fast"), "math fast"),
        (moved_state, "state"),
    ],
    ids=["graph", "precision", "math", "layout"],
)
def test_another_step_is_refused(session: CompiledSession, change: Callable[[Manifest], Manifest], words: str) -> None:
    """Where the stream would not go on to the same bits, the reason is one line."""
    manifest = session.manifest
    with pytest.raises(InputError, match=words) as caught:
        decode_snapshot(change(manifest), session.snapshot())
    assert "\n" not in str(caught.value)


def test_damage_is_refused_and_the_stream_stays(session: CompiledSession) -> None:
    """A changed byte anywhere, a cut at any place, random bytes and other things leave the state as it was."""
    snapshot = session.snapshot()
    flipped = [snapshot[:at] + bytes([snapshot[at] ^ 1]) + snapshot[at + 1 :] for at in range(len(snapshot))]
    cut = [snapshot[:size] for size in range(len(snapshot))]
    random = np.random.default_rng(0).bytes(len(snapshot))
    others: list[Any] = [snapshot + b"\0", random, snapshot[:128] + random[128:], "x", None, 3, session.state.copy()]
    session.step(**{name: array[0] for name, array in draw_ticks(1).items()})
    state = session.state.copy()
    for content in (*flipped, *cut, *others):
        with pytest.raises(InputError) as caught:
            session.restore(content)
        assert "\n" not in str(caught.value)
    assert np.array_equal(session.state, state)
    assert session.ticks == 6
    session.restore(memoryview(snapshot))  # type: ignore[arg-type]  # any bytes will do
    assert session.ticks == 5


def test_bare_bytes_that_cannot_be_the_state_are_refused(session: CompiledSession) -> None:
    """A NaN in a state that starts without one and bytes between the states: neither is a copy of this state."""
    state = session.state.copy()
    for name, place, content, words in (
        ("NaN", 8, np.float32(np.nan).tobytes(), r"'lif\.v' holds a NaN at \[0, 2\]"),
        ("padding", 300, b"\1", "Byte 300 .* is not 0"),
    ):
        wrong = state.copy()
        wrong[place : place + len(content)] = np.frombuffer(content, np.uint8)
        with pytest.raises(InputError, match=words):
            session.state = wrong
        assert np.array_equal(session.state, state), name
    session.state = state[::-1][::-1]
    assert np.array_equal(session.state, state)


def test_a_byte_that_is_no_bool_is_refused(session: CompiledSession) -> None:
    """A bool is the byte 0 or 1; what native code would make of another nobody knows."""
    layout = session.manifest.layout
    last = replace(layout.state[-1], dtype="bool")
    layout = replace(layout, state=(*layout.state[:-1], last))
    state = session.state.copy()
    assert np.array_equal(check_state(layout, session._memory.initial, state), state)
    state[last.offset + 3] = 2
    with pytest.raises(InputError, match="no bool"):
        check_state(layout, session._memory.initial, state)


def test_a_stream_that_holds_nan_is_kept(session: CompiledSession) -> None:
    """A snapshot proves that the NaN is the stream's own."""
    spoilt = session.state.copy()
    spoilt[:4] = np.frombuffer(np.float32(np.nan).tobytes(), np.uint8)
    session.overwrite_state(spoilt)
    snapshot = session.snapshot()
    session.reset()
    session.restore(snapshot)
    assert np.array_equal(session.state, spoilt)
