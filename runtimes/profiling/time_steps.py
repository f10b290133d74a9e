"""Single steps timed from Python, and native runs of the same ticks between them, in rounds that take turns."""

from __future__ import annotations

import gc
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice, pairwise
from statistics import fmean, median
from time import perf_counter, perf_counter_ns

from astroedge.measuring import Measuring
from astroedge.profile_parts import Moment, NativeTiming, Repeat
from astroedge.runtimes.profiling.machine_watch import MachineWatch
from astroedge.runtimes.profiling.sensors import read_power
from astroedge.runtimes.profiling.ticks import Tick, Ticks
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.step_profile import Reading

ROUNDS = 10  # timed steps are cut into rounds: sensors are read in between, and two runtimes take turns
ROUND_SECONDS, MOST_ROUNDS = 0.5, 600  # rounds of a long measurement
MOST_SAMPLES = 1_000_000  # of all rounds; a faster step is not timed at the end of a round
NATIVE_BYTES = 1 << 18  # of inputs and outputs in one native call, so that they stay in a cache
NATIVE_TICKS = 1000
PACKED_BYTES = 1 << 24  # of all blocks that are packed beforehand
NATIVE_CALL = 1_000_000  # nanoseconds that a native call of small steps takes
SLOWER_NATIVE = 1.05  # what chance makes of a native step that is as long as one from Python
NATIVE_ROUND = 10_000_000  # and a native round, at least one call


@dataclass
class StepTimes:
    """What was timed: `samples` of all steps in nanoseconds; `native` and `means` have nanoseconds of a step by round.

    A native step is timed in calls of many ticks and is the middle of them; `means` are the same of the steps from
    Python: middles of the means of as many. `done` counts the steps of the rounds, timed or not, `active` the spikes
    in them by tensor; `power` was read after each round.
    """

    samples: array[int] = field(default_factory=lambda: array("q"))
    means: list[float] = field(default_factory=list)
    native: list[float] = field(default_factory=list)
    repeats: list[Repeat] = field(default_factory=list)
    timeline: list[Moment] = field(default_factory=list)
    active: dict[str, int] = field(default_factory=dict)
    power: list[Reading] = field(default_factory=list)
    done: int = 0

    @property
    def is_contradictory(self) -> bool:
        """Whether native steps were slower than the same steps from Python, which do more."""
        return median(self.native) > SLOWER_NATIVE * median(self.means)

    def native_timing(self) -> NativeTiming | None:
        """The native rounds of all repeats; None where they contradict the steps from Python."""
        if self.is_contradictory:
            return None
        return NativeTiming(median(self.native), min(self.native), max(self.native))


class NativeRounds:
    """Native runs of the ticks in a loop, over inputs that are packed and outputs that are in memory beforehand.

    `Session.run` packs inputs and takes fresh memory for the outputs at every call, which the kernel fills with zeros
    page by page: of a small step with large inputs or outputs that is most of the time, and none of it is the step's.
    """

    def __init__(self, session: CompiledSession, ticks: Ticks, step: float) -> None:
        """Pack the ticks, or so many as fit, in blocks; a step takes about `step` nanoseconds."""
        layout = session.manifest.layout
        size = max(layout.inputs_size + layout.outputs_size, 1)
        fitting = NATIVE_BYTES // size
        self.block = int(max(1, min(NATIVE_TICKS, fitting, NATIVE_CALL // max(step, 1))))
        blocks = max(1, min(-(-len(ticks) // self.block), PACKED_BYTES // (size * self.block)))
        self._runs = [
            session.prepare_run(self.block, ticks.block(index * self.block, self.block)) for index in range(blocks)
        ]
        self._next = 0

    def spend(self, seconds: float) -> int:
        """Make native calls for so many seconds; returns how many ticks that were."""
        end, calls = perf_counter() + seconds, 0
        while perf_counter() < end:
            self._runs[calls % len(self._runs)]()
            calls += 1
        return calls * self.block

    def round(self) -> float:
        """Nanoseconds a tick, the middle of some calls; the stream goes on from where it is."""
        clock, times, start = perf_counter_ns, list[int](), perf_counter_ns()
        while not times or clock() - start < NATIVE_ROUND:
            begin = clock()
            self._runs[self._next]()
            times.append(clock() - begin)
            self._next = (self._next + 1) % len(self._runs)
        return median(times) / self.block


def time_repeats(
    session: CompiledSession, ticks: Ticks, wanted: Measuring, watch: MachineWatch
) -> tuple[StepTimes, int]:
    """Time the steps of every repeat, each from a reset; and how many steps warmed up each of them.

    The stream that native runs leave behind is put back, so that the timed steps are those of one stream.
    """
    times, warmup = StepTimes(), 0
    for _ in range(wanted.repeat):
        session.reset()
        ticks.restart()
        warmup, step = _warm_up(session, ticks, wanted)
        ticks.restart()
        first, first_native = len(times.samples), len(times.native)
        native: NativeRounds | None = None
        for spend in _rounds(wanted, step):
            begin = len(times.samples)
            _time_round(session, ticks, spend, times)
            timed = times.samples[begin:]
            times.power.append(read_power(watch.root))
            times.timeline.append(watch.moment(timed))
            saved = session.snapshot()
            native = native or NativeRounds(session, ticks, median(timed))
            times.native.append(native.round())
            times.means.append(middle_mean(timed, native.block))
            session.restore(saved)
        own = times.samples[first:]
        times.repeats.append(Repeat(float(median(own)), fmean(own), median(times.native[first_native:])))
    return times, warmup


Spend = Callable[[Callable[..., object], Iterator[Tick], "array[int]"], int]
"""One round: makes steps of a loop of ticks, appends their times and returns how many it made."""


def for_steps(count: int) -> Spend:
    """A round of `count` steps."""

    def spend(step: Callable[..., object], feed: Iterator[Tick], samples: array[int]) -> int:
        time_calls(step, islice(feed, count), samples)
        return count

    return spend


def for_seconds(seconds: float, most: int) -> Spend:
    """A round of so many seconds and at least one step, of which the first `most` are timed."""

    def spend(step: Callable[..., object], feed: Iterator[Tick], samples: array[int]) -> int:
        clock, before = perf_counter_ns, len(samples)
        end = clock() + int(seconds * 1e9)
        with without_collection():
            for tick in islice(feed, most):
                begin = clock()
                step(**tick)
                now = clock()
                samples.append(now - begin)
                if now >= end:
                    break
            done = len(samples) - before
            while clock() < end:
                step(**next(feed))
                done += 1
        return done

    return spend


def time_calls(step: Callable[..., object], feed: Iterator[Tick], samples: array[int]) -> None:
    """Append how many nanoseconds each call of `step` took."""
    clock = perf_counter_ns
    with without_collection():
        for tick in feed:
            begin = clock()
            step(**tick)
            samples.append(clock() - begin)


@contextmanager
def without_collection() -> Iterator[None]:
    """Keep Python's garbage collector out of the times."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def middle_mean(samples: Sequence[int], count: int) -> float:
    """The middle of the means of each `count` samples in a row, or of all where there are fewer."""
    starts = range(0, max(len(samples) - count, 0) + 1, count)
    return median(fmean(samples[start : start + count]) for start in starts)


def _rounds(wanted: Measuring, step: float) -> list[Spend]:
    """The rounds of a repeat, of nearly equal length and at least one `step` of so many seconds."""
    if wanted.seconds is not None:
        rounds = max(ROUNDS, min(MOST_ROUNDS, int(wanted.seconds / ROUND_SECONDS)))
        rounds = max(1, min(rounds, int(wanted.seconds / step))) if step else rounds
        most = max(1, MOST_SAMPLES // (rounds * wanted.repeat))
        return [for_seconds(wanted.seconds / rounds, most)] * rounds
    assert wanted.steps is not None
    return [for_steps(count) for count in split(wanted.steps)]


def split(steps: int) -> list[int]:
    """`ROUNDS` numbers that sum to `steps` and are nearly equal; fewer where there are fewer steps."""
    rounds = min(ROUNDS, steps)
    ends = [steps * index // rounds for index in range(rounds + 1)]
    return [end - first for first, end in pairwise(ends)]


def _warm_up(session: CompiledSession, ticks: Ticks, wanted: Measuring) -> tuple[int, float]:
    """Untimed steps, at most a quarter of the seconds that are asked for: how many, and seconds of the fastest or 0."""
    begin, fastest, done = perf_counter(), 0.0, 0
    for tick in islice(ticks, wanted.warmup):
        before = perf_counter()
        session.step(**tick)
        now = perf_counter()
        done += 1
        fastest = min(fastest or now - before, now - before)
        if wanted.seconds is not None and now - begin > wanted.seconds / 4:
            break
    return done, fastest


def _time_round(session: CompiledSession, ticks: Ticks, spend: Spend, times: StepTimes) -> None:
    """One round of steps; counts their spikes."""
    before = session.activity()
    times.done += spend(session.step, iter(ticks), times.samples)
    for name, count in session.activity().items():
        times.active[name] = times.active.get(name, 0) + count.active - before[name].active
