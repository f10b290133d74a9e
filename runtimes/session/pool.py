"""Many streams of one bundle in one process, stepped together: they share weights, library and threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NoReturn

import numpy as np

from astroedge.abi.limits import MAX_THREADS
from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import Manifest
from astroedge.errors import AstroEdgeError, IncompatibleError, InputError
from astroedge.runtimes.session.compiled import dense
from astroedge.runtimes.session.input_slot import Records
from astroedge.runtimes.session.pool_inputs import (
    check_number,
    check_numbers,
    check_streams,
    stream_arrays,
    stream_runs,
)
from astroedge.runtimes.session.pooled_stream import PooledStream, PoolRecord
from astroedge.runtimes.session.session_errors import refused_by_step, too_many_ticks, without_name
from astroedge.runtimes.session.session_team import BUSY, CLOSED, FORKED, TeamOwner
from astroedge.runtimes.session.stream_calls import StreamCalls
from astroedge.runtimes.session.team import usable_cores
from astroedge.session import Array
from astroedge.step.spec import StepSpec

COPIED = "A pool is streams in this process's memory and can be neither copied nor pickled; load the bundle again."


class Pool(TeamOwner):
    """Streams of one bundle; `pool[i]` is one of them, a session, and `step` and `run` make ticks of many at once.

    A stream has the bits that a session of its own would have. The streams share weights and library; `threads` threads
    compute whole streams each, so that none waits for another within a tick, and sleep while there is nothing to do.
    A pool belongs to one thread. While it makes no ticks, streams may be stepped alone, in threads of their own.
    """

    _workers_entry = "astro_work_streams"
    _after_torn_tick = FORKED  # its streams are torn, each for itself

    def __init__(
        self, bundle: Bundle, streams: int, *, trust_weights: bool = False, threads: int | None = None
    ) -> None:
        count, manifest = check_streams(streams), bundle.manifest
        threads = _choose_threads(threads, count)
        refuse_unsuitable(manifest, count)
        self.bundle = bundle
        self._record = record = PoolRecord(np.zeros(count, np.int64))
        first = PooledStream(record, 0, bundle, trust_weights=trust_weights)
        if not hasattr(first._library, "astro_run_streams"):
            raise IncompatibleError(
                f"{manifest.model!r} was compiled by a release before pools, whose libraries step one stream a call; "
                "compile the graph again, or load a session for each stream."
            )
        self._streams = (first, *(PooledStream(record, number, bundle, beside=first) for number in range(1, count)))
        layout = manifest.layout
        self._slots, self._views = first._slots, first._output_views
        records, results = self._records_of(count, 1)
        self._inputs = {name: records.field(slot.field, slot.view) for name, slot in self._slots.items()}
        self._outputs = {item.name: results.field(item, self._views[item.name]) for item in layout.outputs}
        self._records = records
        buffers = (stream._memory.buffers for stream in self._streams)
        self._native = StreamCalls(first._library, buffers, record.counted, records, results)
        super().__init__(first._library, threads, (self._native.together,))

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
        return self.bundle.manifest

    @property
    def spec(self) -> StepSpec:
        """What a tick of one stream takes, gives and carries over."""
        return self.bundle.manifest.step

    def __len__(self) -> int:
        return len(self._record.counted)

    def __getitem__(self, number: int) -> PooledStream:
        """One stream as a session: to step, reset, save, restore or close alone.

        Raises InputError for a number that no stream has.
        """
        return self._opened[check_number(number, len(self))]

    def __iter__(self) -> Iterator[PooledStream]:
        return iter(self._opened)

    def step(self, /, *unnamed: object, streams: Any = None, **inputs: Any) -> dict[str, Array]:
        """One tick of every stream, or of those whose numbers are in `streams`; returns the outputs by name.

        Every input is a NumPy array of the dtype in `spec.inputs` and of its shape after a leading axis of streams, in
        their order or in that of `streams`, and so are the outputs. For an input of size 1, one number a stream will
        do. (Where an input is itself called "streams", that name means the input.)

        Raises InputError for a wrong name, shape, dtype, number of a stream, NaN or index out of range, AstroEdgeError
        for a stream that is closed; the state of every stream is then unchanged.
        """
        self._check_available()
        try:
            self._unavailable = BUSY
            if streams is not None and "streams" in self._slots:
                inputs["streams"], streams = streams, None
            if unnamed:
                raise without_name("step", list(self._slots))
            numbers = self._choose(streams)
            count = len(self) if numbers is None else len(numbers)
            for name, array in stream_arrays(self._slots, inputs, count).items():
                self._inputs[name][:count] = array
            if count and (status := self._native.tick(_places(numbers))) < 0:
                raise self._refusal(status, numbers, self._records, None)
            return {name: view[:count].copy() for name, view in self._outputs.items()}
        finally:
            self._unavailable = ""

    def run(self, /, *unnamed: object, streams: Any = None, steps: Any = None, **inputs: Any) -> dict[str, Array]:
        """Many ticks of every stream, or of those in `streams`, in one native call; returns the outputs by name.

        Inputs and outputs are as for `step`, with an axis of ticks behind that of streams: `(streams, T, …)`. `steps`
        says how many ticks only where a step has no inputs. Ctrl-C stops each stream after the tick that is being
        computed, which need not be the same tick for all: `pool[i].ticks` says which.

        Raises what `step` does; the state of every stream is then unchanged.
        """
        self._check_available()
        try:
            self._unavailable = BUSY
            if steps is not None and "steps" in self._slots:
                inputs["steps"], steps = steps, None
            if streams is not None and "streams" in self._slots:
                inputs["streams"], streams = streams, None
            if unnamed:
                raise without_name("run", list(self._slots))
            numbers = self._choose(streams)
            count = len(self) if numbers is None else len(numbers)
            ticks, arrays = stream_runs(self._slots, inputs, count, steps)
            records, results = self._records_of(count, ticks)
            for name, slot in self._slots.items():
                _by_stream(records.field(slot.field, slot.view), count, ticks)[...] = arrays[name]
            if count and (status := self._native.run(_places(numbers), records, results, ticks)) < 0:
                raise self._refusal(status, numbers, records, ticks)
            outputs = self.manifest.layout.outputs
            views = {item.name: results.field(item, self._views[item.name]) for item in outputs}
            return {name: dense(_by_stream(view, count, ticks)) for name, view in views.items()}
        finally:
            self._unavailable = ""

    def reset(self) -> None:
        """Every stream that is not closed goes back to the initial state.

        Raises AstroEdgeError while one of them makes a tick; the others are then as they were.
        """
        self._check_available()
        self._refuse_while_one_ticks()
        for stream in self._streams:
            if stream._why_unavailable != CLOSED:
                stream.reset()

    def close(self) -> None:
        """Let go of threads, streams and weights; arrays that were given out stay valid. Closing twice does nothing."""
        self._refuse_while_one_ticks()
        self._end_team()
        for stream in self.__dict__.pop("_streams", ()):
            stream.close()
        for name in self.__dict__.keys() & {"_inputs", "_outputs", "_records", "_native", "_slots", "_views", "_team"}:
            del self.__dict__[name]

    def _refuse_while_one_ticks(self) -> None:
        if any(stream._why_unavailable == BUSY for stream in self.__dict__.get("_streams", ())):
            raise AstroEdgeError(BUSY)

    def __repr__(self) -> str:
        """`<Pool of 16 streams of lm for native, int8, 2 threads>`."""
        manifest = self.manifest
        if self._unavailable == CLOSED:
            return f"<Pool of {len(self)} streams of {manifest.model}, closed>"
        return (
            f"<Pool of {len(self)} streams of {manifest.model} for {manifest.target.name}, {manifest.precision}, "
            f"{self.threads} threads>"
        )

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise AstroEdgeError(COPIED)

    @property
    def _unavailable(self) -> str:  # its streams look there, too
        return self._record.unavailable

    @_unavailable.setter
    def _unavailable(self, why: str) -> None:
        self._record.unavailable = why

    @property
    def _opened(self) -> tuple[PooledStream, ...]:
        if self._unavailable == CLOSED:
            raise AstroEdgeError(CLOSED)
        return self._streams

    def _computed_by(self) -> object:
        return self._record

    def _choose(self, streams: Any) -> list[int] | None:
        """The numbers of the streams that a call is for, None where it is for all; each can make a tick now."""
        numbers = None if streams is None else check_numbers(streams, len(self))
        chosen = self._streams if numbers is None else [self._streams[number] for number in numbers]
        hindered = [stream for stream in chosen if stream._why_unavailable]
        if hindered:
            raise AstroEdgeError(f"Stream {hindered[0].number} cannot make a tick: {hindered[0]._why_unavailable}")
        return numbers

    def _records_of(self, streams: int, ticks: int) -> tuple[Records, Records]:
        layout = self.manifest.layout
        try:
            return Records(layout.inputs_size, streams * ticks), Records(layout.outputs_size, streams * ticks)
        except (MemoryError, ValueError, OverflowError) as error:
            raise too_many_ticks(streams * ticks, layout) from error

    def _refusal(self, status: int, numbers: list[int] | None, records: Records, ticks: int | None) -> AstroEdgeError:
        """The error that a status is, of a call with so many `ticks` on each stream's records; None: of one tick."""
        place, call = self._native.bad, self._native.bad_call
        record = records.record(place * (ticks or 1) + call.bad_step)
        error = refused_by_step(status, call, self.manifest.layout, record, None if ticks is None else call.bad_step)
        return type(error)(f"Stream {place if numbers is None else numbers[place]}: {error}")


def _places(numbers: list[int] | None) -> list[int] | slice:
    return slice(None) if numbers is None else numbers


def _by_stream(view: Array, streams: int, ticks: int) -> Array:
    """Records of all ticks of one stream after the other, as an array with an axis of streams before that of ticks."""
    return view[: streams * ticks].reshape(streams, ticks, *view.shape[1:])


def _choose_threads(threads: int | None, streams: int) -> int:
    """How many threads make ticks of so many streams: as asked for, else one for each core; one a stream at most."""
    if threads is None:
        return min(usable_cores(), streams, MAX_THREADS)
    if type(threads) is not int or not 1 <= threads <= MAX_THREADS:
        raise InputError(f"threads={threads!r} must be a whole number from 1 to {MAX_THREADS}.")
    return min(threads, streams)


def refuse_unsuitable(manifest: Manifest, streams: int) -> None:
    """Raise the error that a step whose ticks a GPU makes is, or streams that this machine has no memory for."""
    if manifest.device is not None:
        raise InputError(
            f"The ticks of {manifest.model!r} are a GPU's, which computes one stream after the other; export the model "
            "with --batch for many streams there, or compile it for this machine's processor."
        )
    layout = manifest.layout
    needed = streams * (layout.state_size + layout.workspace_size + 2 * (layout.inputs_size + layout.outputs_size))
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        raise IncompatibleError(
            f"{streams:,} streams of {manifest.model!r} take {needed:,} bytes, and this machine has {there:,}; ask for "
            "fewer with streams=."
        )
