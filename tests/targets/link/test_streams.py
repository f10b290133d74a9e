"""Ticks of many streams, called as any C host would: equal to one by one, checked first, by any number of threads."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import byref, sizeof

import numpy as np
import pytest

from astroedge.abi import layout as c
from astroedge.abi.aligned import address_of, aligned_zeros
from astroedge.runtimes.library.native_library import load_library
from astroedge.runtimes.session.team import Team
from tests.support.teams import SIZE, stirred, team_bundle

STREAMS, TICKS = 7, 20
INPUTS = np.random.default_rng(4).integers(0, 600, (STREAMS, TICKS, 1))


class Host:
    """Buffers of some streams of the stirred step, and a call for each; stream i makes `ticks[i]` ticks."""

    def __init__(self, ticks: tuple[int, ...] = (TICKS, 3, 0, TICKS, 1, 7, TICKS)) -> None:
        layout = team_bundle().manifest.layout
        self.ticks = ticks
        self.library = load_library(team_bundle().library())
        self.inputs, self.outputs = (aligned_zeros(64 * STREAMS * TICKS) for _ in range(2))
        self.states, self.weights = aligned_zeros(layout.state_size * STREAMS), aligned_zeros(64)
        self.workspaces = aligned_zeros(layout.workspace_size * STREAMS)
        self.inputs.view(np.int64)[::8] = INPUTS.ravel()
        self.calls = (c.AstroCall * STREAMS)(*(self.call(layout, stream) for stream in range(STREAMS)))
        self.statuses = np.full(STREAMS, 99, np.int32)
        self.streams = c.AstroStreams(
            size=sizeof(c.AstroStreams), calls=ctypes.addressof(self.calls), call_stride=sizeof(c.AstroCall),
            statuses=address_of(self.statuses), count=STREAMS,
        )  # fmt: skip

    def call(self, layout: object, stream: int) -> c.AstroCall:
        """A run of a stream's ticks."""
        sizes = {"inputs": 64 * TICKS, "outputs": 64 * TICKS}
        sizes |= {"states": self.states.size // STREAMS, "workspaces": self.workspaces.size // STREAMS}
        places = {name: address_of(getattr(self, name)) + stream * size for name, size in sizes.items()}
        return c.AstroCall(
            size=sizeof(c.AstroCall), inputs=places["inputs"], outputs=places["outputs"], state=places["states"],
            weights=address_of(self.weights), workspace=places["workspaces"], steps=self.ticks[stream],
            input_stride=64, output_stride=64,
        )  # fmt: skip

    def run(self, threads: int = 1) -> int:
        """astro_run_streams, by a team if `threads` is not 1."""
        if threads == 1:
            return int(self.library.astro_run_streams(byref(self.streams)))
        team = Team(self.library, threads, "astro_work_streams")
        self.streams.team = team.address
        try:
            return int(self.library.astro_run_streams(byref(self.streams)))
        finally:
            team.dismiss()
            team.join()
            self.streams.team = None


@pytest.mark.parametrize("threads", [1, 2, 3, 16, 64])
def test_any_number_of_threads_has_the_same_bits(threads: int) -> None:
    """Streams of several lengths, fewer or more than there are threads, give what each gives alone."""
    host = Host()
    assert host.run(threads) == c.OK
    assert host.statuses.tolist() == [c.OK] * STREAMS
    for stream, ticks in enumerate(host.ticks):
        assert host.calls[stream].steps_done == ticks
        expected, state = stirred(INPUTS[stream, :ticks])
        outputs = host.outputs.view(np.uint64).reshape(STREAMS, TICKS, 8)[stream, :ticks, 0]
        assert outputs.tolist() == [row[0] for row in expected.tolist()]
        assert np.array_equal(host.states.view(np.uint64).reshape(STREAMS, SIZE)[stream], state)


WRONG: dict[str, Callable[[Host], None]] = {
    "size": lambda host: setattr(host.streams, "size", 100),
    "calls": lambda host: setattr(host.streams, "calls", None),
    "statuses": lambda host: setattr(host.streams, "statuses", None),
    "stride too small": lambda host: setattr(host.streams, "call_stride", 64),
    "stride that is odd": lambda host: setattr(host.streams, "call_stride", sizeof(c.AstroCall) + 4),
    "count": lambda host: setattr(host.streams, "count", 2**31),
    "team": lambda host: setattr(host.streams, "team", address_of(host.weights)),
    "a call's buffer": lambda host: setattr(host.calls[5], "state", None),
    "a call's team": lambda host: setattr(host.calls[5], "team", address_of(host.weights)),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_calls_are_refused_before_the_first_tick(wrong: str) -> None:
    """What a host filled in wrongly is a wrong call, of a single stream too, and no stream changes."""
    host = Host()
    WRONG[wrong](host)
    assert host.run() == c.E_CALL
    assert wrong[:6] != "a call" or host.streams.bad_stream == 5
    assert not host.states.any()
    assert host.library.astro_run_streams(None) == c.E_CALL


def test_workers_that_no_team_has_are_refused() -> None:
    """Number 0 is the caller; the others are fewer than the threads."""
    host, memory = Host(), aligned_zeros(sizeof(c.AstroTeam))
    team = c.AstroTeam.from_address(address_of(memory))
    assert host.library.astro_work_streams(ctypes.c_void_p(address_of(memory)), 1) == c.E_CALL
    team.size, team.threads = sizeof(c.AstroTeam), 2
    for index in (0, 2):
        assert host.library.astro_work_streams(ctypes.c_void_p(address_of(memory)), index) == c.E_CALL


def test_a_stream_that_fails_or_is_stopped_ends_alone() -> None:
    """Each has its status, and the first failure is told of; the others make all their ticks."""
    for threads in (1, 3):
        host, stop = Host((TICKS,) * STREAMS), np.ones(1, np.int32)
        host.inputs.view(np.int64).reshape(STREAMS, TICKS, 8)[4, 9, 0] = 666
        host.calls[2].stop = address_of(stop)
        assert host.run(threads) == c.E_TICK
        assert host.streams.bad_stream == 4
        assert host.statuses.tolist() == [0, 0, c.STOPPED, 0, c.E_TICK, 0, 0]
        assert [call.steps_done for call in host.calls] == [TICKS, TICKS, 0, TICKS, 9, TICKS, TICKS]
        host.calls[4].steps = 1
        assert host.run(threads) == c.STOPPED
