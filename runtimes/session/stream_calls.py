"""The calls of many streams as one table, which a single native call works through: `astro_run_streams`."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroedge.abi.aligned import address_of
from astroedge.abi.layout import STOPPED, AstroCall, AstroStreams
from astroedge.runtimes.session.input_slot import Records
from astroedge.runtimes.session.stop_signal import stop_on_signal

Calls = NDArray[Any]
"""Structures astro_call in a row; a member is a field, such as `calls["inputs"]`."""

CALL = np.dtype(AstroCall)
WORTH_A_TEAM = 50_000
"""Nanoseconds of ticks below which one thread makes them sooner than several that have to be woken first."""

SHORT = 4 * WORTH_A_TEAM
"""Nanoseconds of a team's call below which waking may have been most of it: now and then one thread tries such work."""

TRIED_EVERY = 256  # of short calls

_NO_FLAG = nullcontext()


class StreamCalls:
    """The ticks of many streams of a library, made by the caller and the team that `together` names, if it names one.

    `counted` is how many ticks each stream has made. `places` of a call are the numbers of the streams that it is for,
    or all of them (a slice). After a call `bad` says which of its streams failed.
    """

    def __init__(
        self,
        library: ctypes.CDLL,
        buffers: Iterable[Mapping[str, int]],
        counted: NDArray[np.int64],
        records: Records,
        results: Records,
    ) -> None:
        """`buffers` are those of each stream by the members of astro_call; a tick reads `records`, writes `results`."""
        self._counted = counted
        self._table = _make_calls(list(buffers))
        point_at(self._table, records, results, 1)
        self._all = _Operands(self._table)
        self._statuses = np.zeros(len(counted), np.int32)
        self._alone, self.together = (
            AstroStreams(
                size=ctypes.sizeof(AstroStreams), call_stride=CALL.itemsize, statuses=address_of(self._statuses)
            )
            for _ in range(2)
        )
        self._entry = library.astro_run_streams
        self._entry.restype = ctypes.c_int32
        self._pace = float(WORTH_A_TEAM)  # nanoseconds that a tick lately took one thread alone; at first it is unknown
        self._until_tried, self._short_work = 1, 0  # calls of the team till one thread tries so much work
        self.bad = 0
        self.bad_call = AstroCall()

    def tick(self, places: list[int] | slice) -> int:
        """One tick of some streams, on the first records; returns a negative status where one was refused or failed."""
        if isinstance(places, slice):
            return self._compute(places, self._all, len(self._table))
        calls = self._table[places]
        calls["inputs"], calls["outputs"] = (self._table[name][: len(places)] for name in ("inputs", "outputs"))
        return self._compute(places, _Operands(calls), len(calls))

    def run(self, places: list[int] | slice, records: Records, results: Records, ticks: int) -> int:
        """`ticks` ticks of each, going on after signals whose handlers raise nothing; returns what `tick` does."""
        calls = self._table[places].copy()
        point_at(calls, records, results, ticks)
        operands = _Operands(calls)
        # One tick cannot be stopped in its middle, so it needs no flag.
        with stop_on_signal() if ticks > 1 else _NO_FLAG as flag:
            while True:
                calls["stop"] = 0 if flag is None else flag.address  # a fork in a handler gives it another address
                status = self._compute(places, operands, int(calls["steps"].sum()))
                if status != STOPPED or flag is None:
                    return status
                flag.clear()
                _go_on(calls)

    def _compute(self, places: list[int] | slice, operands: _Operands, work: int) -> int:
        """One native call for `work` ticks in all, by the team where that is sooner."""
        done = operands.done
        done.fill(0)
        streams = self.together if operands.count > 1 and self._is_worth_a_team(work) else self._alone
        streams.calls, streams.count = operands.address, operands.count
        begin = perf_counter_ns()
        try:
            status: int = self._entry(ctypes.byref(streams))
        finally:
            self._counted[places] += done
        if status < 0:
            self.bad = int(streams.bad_stream)
            self.bad_call = AstroCall.from_buffer_copy(operands.calls[self.bad].tobytes())
        else:
            self._note(perf_counter_ns() - begin, int(done.sum()), work, alone=not streams.team)
        return status

    def _is_worth_a_team(self, work: int) -> bool:
        tried = self._until_tried <= 0 and work <= self._short_work
        return self._pace * work > WORTH_A_TEAM and not tried

    def _note(self, elapsed: int, made: int, work: int, *, alone: bool) -> None:
        """Learn from a call: how long a tick takes one thread, or that the team had little to do."""
        if alone and made:
            self._pace, self._until_tried = elapsed / made, TRIED_EVERY
        elif not alone and elapsed < SHORT:
            self._until_tried, self._short_work = self._until_tried - 1, work


class _Operands:
    """Calls as a native call takes them; `done` is how many ticks each has made."""

    __slots__ = ("address", "calls", "count", "done")

    def __init__(self, calls: Calls) -> None:
        self.calls, self.count, self.address = calls, len(calls), address_of(calls)
        self.done: NDArray[np.int64] = calls["steps_done"].view(np.int64)


def point_at(calls: Calls, records: Records, results: Records, ticks: int) -> None:
    """Have each call compute `ticks` ticks, on records and results of its own, which follow those of the one before."""
    place = np.arange(len(calls), dtype=np.uint64) * np.uint64(ticks)
    calls["inputs"] = records.address + place * records.size
    calls["outputs"] = results.address + place * results.size
    calls["input_stride"], calls["output_stride"], calls["steps"] = records.size, results.size, ticks


def _make_calls(buffers: list[Mapping[str, int]]) -> Calls:
    calls = np.zeros(len(buffers), CALL)
    calls["size"] = CALL.itemsize
    for name in buffers[0]:
        calls[name] = [addresses[name] for addresses in buffers]
    return calls


def _go_on(calls: Calls) -> None:
    """Point at what is left of runs that were stopped; all of it has been checked."""
    done = calls["steps_done"].copy()
    calls["inputs"] += done * calls["input_stride"]
    calls["outputs"] += done * calls["output_stride"]
    calls["steps"] -= done
    calls["steps_checked"] = calls["steps"]
