"""The energy of a step: power while steps are made, less the idle power before and after, over the number of steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import fsum, sqrt
from threading import Event, Thread
from time import perf_counter, sleep

from astroedge.profile_parts import Energy
from astroedge.runtimes.profiling.power_sources import PowerSample, PowerSource
from astroedge.step_profile import Reading

BUSY_SECONDS = 10.0  # at least
IDLE_SECONDS = 3.0  # before and after
SETTLING = 0.5  # seconds at the start of each stretch whose samples are dropped: sensors average, clocks rise
FEWEST = 3  # samples in a stretch

Window = tuple[float, float]


def measure_energy(
    source: PowerSource,
    spend: Callable[[float], int],
    seconds: float,
    *,
    rest: Callable[[float], object] = sleep,
    idle: float = IDLE_SECONDS,
    settling: float = SETTLING,
) -> Energy | Reading:
    """Rest, `spend` about `seconds` making steps, rest; what a step took, or why that is not known.

    `spend` returns how many steps it made. The source is read in a thread meanwhile, which takes the interpreter from
    steps in native code a few times a second.
    """
    stop, samples, errors = Event(), list[PowerSample](), list[Exception]()

    def collect() -> None:
        try:
            source.collect(stop, samples)
        except Exception as error:  # raised again in the thread that asked
            errors.append(error)

    thread = Thread(target=collect, daemon=True)
    thread.start()
    try:
        begin = perf_counter()
        rest(idle)
        start = perf_counter()
        steps = spend(seconds)
        end = perf_counter()
        rest(idle)
        windows = [(begin, start), (start, end), (end, perf_counter())]
    finally:
        stop.set()  # after Ctrl-C nobody waits for readings that come late
    thread.join()
    if errors:
        raise errors[0]
    inside = [_inside(samples, first + settling, last) for first, last in windows]
    if min(map(len, inside)) < FEWEST:
        return Reading.unavailable("energy per step", "J", _too_few(source, inside))
    return energy_of(inside[0], inside[1], inside[2], end - start, steps, source)


def energy_of(
    before: Sequence[PowerSample],
    busy: Sequence[PowerSample],
    after: Sequence[PowerSample],
    seconds: float,
    steps: int,
    source: PowerSource,
) -> Energy:
    """What a step took of `steps` in `seconds`, from samples of the three stretches.

    The error has the standard errors of the means, and half of what the idle power changed by between before and after.
    Readings that repeat the one before are not counted as further ones: many sensors refresh more slowly than they are
    read.
    """
    (first, first_error), (work, work_error), (last, last_error) = map(_mean, (before, busy, after))
    idle = (first + last) / 2
    error = sqrt(work_error**2 + (first_error**2 + last_error**2) / 4 + ((first - last) / 2) ** 2)
    share = seconds / steps
    return Energy((work - idle) * share, error * share, idle, work, seconds, source.sensor, source.label, steps)


def as_reading(energy: Energy) -> Reading:
    """The energy of a step as one number."""
    note = f"idle power subtracted; {energy.sensor}"
    return Reading("energy per step", energy.joules_per_step, "J", energy.label, note)


def _inside(samples: Sequence[PowerSample], start: float, end: float) -> list[PowerSample]:
    return [sample for sample in samples if sample.start >= start and sample.end <= end]


def _mean(samples: Sequence[PowerSample]) -> tuple[float, float]:
    """The mean power, and its standard error."""
    watts = [sample.watts for sample in samples]
    mean = fsum(watts) / len(watts)
    spread = sqrt(fsum((value - mean) ** 2 for value in watts) / (len(watts) - 1))
    fresh = 1 + sum(now != before for before, now in pairwise(watts))
    return mean, spread / sqrt(fresh)


def _too_few(source: PowerSource, inside: Sequence[Sequence[PowerSample]]) -> str:
    counts = ", ".join(str(len(stretch)) for stretch in inside)
    return (
        f"{source.sensor} gave {counts} readings before, during and after the steps, and {FEWEST} are needed of each; "
        "read it more often, or compare its clock with this machine's"
    )
