"""The time of a tick by its kernels, from an instrumented run of the same compiled code.

The bundle's library has the tick twice over the same kernels: as it is, and with the time read before each kernel. Both
compute the same ticks from the same states in turns. What reading the time takes is measured, too, and left out of the
kernels' times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from time import perf_counter_ns

import numpy as np
from numpy.typing import NDArray

from astroedge.bundle.manifest import COST_RATES, Activity, Kernel, Manifest
from astroedge.errors import InputError
from astroedge.kernel_profile import Instrumented, KernelTime, KernelTimes, KernelTrace
from astroedge.runtimes.checking.verify import choose_inputs
from astroedge.runtimes.profiling.processor_clock import processor_clock
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.runtimes.session.timed_run import Stamps, TimedRun, read_clock, refuse_kernels
from astroedge.session import Array

SECONDS = 1.0  # about how long all of it may take
BLOCK_SECONDS = 2e-3  # of ticks that are computed again and again: the shorter, the rarer is one disturbed
LEAST_REPEATS, MOST_REPEATS = 5, 101
FEWEST = 20  # ticks
LARGEST_STAMPS = 1 << 24  # bytes of a block
CLOCK_READINGS = 1000
READINGS = 9
TRACED_TICKS = 20
DENSE_KINDS = ("dense-gemv", "dense-conv", "batched-matmul", "pruned-gemv")
EVENT_KINDS = ("event-gemv", "event-conv", "pruned-gemv")

Times = NDArray[np.float64]


def time_kernels(
    session: CompiledSession, inputs: Mapping[str, Array] | None = None, steps: int | None = None
) -> KernelTimes:
    """Time the kernels of a session's step over `steps` ticks of `inputs`, as `astroedge.profile` chooses them.

    The stream goes on afterwards as if nothing had happened, but for its activity counts. One thread computes. Raises
    InputError for inputs the step does not take and for a step that a GPU computes.
    """
    refuse_kernels(session.manifest)
    steps, data = choose_inputs(session.manifest, steps, inputs)
    if steps < 1:
        raise InputError(f"The kernels of {steps} steps cannot be timed; ask for at least 1.")
    saved = session.snapshot()
    try:
        blocks, repeats = _choose_runs(session, steps, data)
        session.reset()
        measured = _Measured(session, blocks, repeats)
    finally:
        session.restore(saved)
    return measured.summary(session.manifest)


def _choose_runs(session: CompiledSession, steps: int, inputs: Mapping[str, Array]) -> tuple[list[TimedRun], int]:
    """As many of the ticks as there is time for, in short blocks, and how often to compute each block."""

    def block(first: int, count: int) -> TimedRun:
        part = {name: array[first : first + count] for name, array in inputs.items()}
        return TimedRun(session, part, None if part else count)

    few = min(steps, FEWEST)
    trial = block(0, few)
    tick = max(1.0, min(trial.run() for _ in range(LEAST_REPEATS)) / few) / 1e9
    ticks = min(steps, max(FEWEST, int(SECONDS / (2 * LEAST_REPEATS * tick))))
    size = min(max(1, int(BLOCK_SECONDS / tick)), max(1, LARGEST_STAMPS // (8 * session.manifest.stamps)), ticks)
    repeats = int(SECONDS / (2 * ticks * tick))
    blocks = [block(first, min(size, ticks - first)) for first in range(0, ticks, size)]
    return blocks, min(max(repeats, LEAST_REPEATS), MOST_REPEATS)


class _Measured:
    """Blocks of ticks, each computed plain and instrumented in turns from one state.

    The quickest repeat of either counts: others were disturbed. Times of all kernels of a block are those of one
    repeat, so that they add up.
    """

    def __init__(self, session: CompiledSession, blocks: Sequence[TimedRun], repeats: int) -> None:
        self.ticks = sum(run.ticks for run in blocks)
        self.step = self.plain = 0.0
        counts = np.zeros(session.manifest.stamps - 1)
        clocks: list[float] = []
        before = session.activity()
        begin, first = _read_both(session)
        for run in blocks:
            start = session.snapshot()
            plain, stamped = [], []
            for _ in range(repeats):
                session.restore(start)
                plain.append(run.run())
                session.restore(start)
                took, stamps = run.run_with_stamps()
                stamped.append((took, np.diff(stamps.astype(np.int64), axis=1).sum(axis=0)))
            clocks.append(_clock_cost(session))
            took, spent = min(stamped, key=itemgetter(0))
            self.plain += min(plain) / self.ticks
            self.step += took / self.ticks
            counts += spent / self.ticks
        end, last = _read_both(session)
        after = session.activity()
        self.active = {name: (after[name].active - before[name].active) / (2 * repeats * self.ticks) for name in after}
        rate = (end - begin) / (last - first)  # nanoseconds from one count to the next
        self.clock = min(clocks) * rate
        self.times = np.maximum(counts * rate - self.clock, 0.0)
        self.trace = _traced(stamps, rate)

    def summary(self, manifest: Manifest) -> KernelTimes:
        """The kernels by module and operator, in the order of the tick."""
        kernels, total = manifest.kernels, float(self.times.sum())
        hertz, sizes = processor_clock(), {item.name: item for item in manifest.activity}
        groups: dict[tuple[str, ...], list[int]] = {}
        for index, kernel in enumerate(kernels):
            groups.setdefault((kernel.module, kernel.kind, *kernel.operators), []).append(index)
        items = []
        for members in groups.values():
            time = float(self.times[members].sum())
            share = time / total if total else 0.0
            items.append(_describe([kernels[index] for index in members], time, share, self.active, sizes, hertz))
        names = tuple(kernel.name for kernel in kernels)
        trace = KernelTrace(names, tuple(kernel.module for kernel in kernels), self.trace)
        instrumented = Instrumented(self.step, self.plain, self.step / self.plain, total, self.clock * manifest.stamps)
        return KernelTimes(instrumented, tuple(items), trace)


def _read_both(session: CompiledSession) -> tuple[float, int]:
    """The time in nanoseconds and the processor's counter at one moment: of several readings the quickest."""
    readings = []
    for _ in range(READINGS):
        begin = perf_counter_ns()
        count = int(read_clock(session, 1)[0])
        end = perf_counter_ns()
        readings.append((end - begin, (begin + end) / 2, count))
    _, time, count = min(readings)
    return time, count


def _clock_cost(session: CompiledSession) -> float:
    """Counts between two readings of the clock with nothing in between."""
    stamps = read_clock(session, CLOCK_READINGS)
    return float(stamps[-1] - stamps[0]) / (CLOCK_READINGS - 1)


def _traced(stamps: Stamps, rate: float) -> tuple[tuple[float, ...], ...]:
    """The last ticks in nanoseconds since the first of them began."""
    part = stamps[-TRACED_TICKS:]
    return tuple(map(tuple, ((part - part[0, 0]).astype(np.float64) * rate).tolist()))


def _describe(
    kernels: Sequence[Kernel],
    time: float,
    share: float,
    active: Mapping[str, float],
    counters: Mapping[str, Activity],
    hertz: float | None,
) -> KernelTime:
    """What is told of calls of one kind for one module; `active` has the active elements of a tick by counter."""
    first = kernels[0]
    counted = [kernel.spikes for kernel in kernels if kernel.spikes is not None]
    moved = sum(kernel.nbytes + kernel.row * active.get(kernel.spikes or "", 0.0) for kernel in kernels)
    cycles = [_predict(kernel, active, counters) for kernel in kernels]
    known = [item for item in cycles if item is not None]
    return KernelTime(
        name=first.name,
        module=first.module,
        operator=", ".join(dict.fromkeys(first.operators)),
        kind=_kind(first),
        calls=len(kernels),
        time=time,
        share=share,
        bytes=moved,
        inputs=sum(counters[name].size for name in counted) if counted else None,
        active=sum(active[name] for name in counted) if counted else None,
        bandwidth=moved / time * 1e9 if time else 0.0,
        predicted=sum(known) / hertz * 1e9 if hertz and len(known) == len(cycles) else None,
    )


def _kind(kernel: Kernel) -> str:
    if kernel.spikes is not None and kernel.kind in EVENT_KINDS:
        return "event"
    return "dense" if kernel.kind in DENSE_KINDS else "other"


def _predict(kernel: Kernel, active: Mapping[str, float], counters: Mapping[str, Activity]) -> float | None:
    """The compiler's estimate in cycles at the present activity, between the firing rates that it made it for."""
    if len(kernel.cycles) == 1:
        return float(kernel.cycles[0])
    if not kernel.cycles or kernel.spikes is None:
        return None
    rate = active[kernel.spikes] / counters[kernel.spikes].size
    return float(np.interp(rate, COST_RATES, kernel.cycles))
