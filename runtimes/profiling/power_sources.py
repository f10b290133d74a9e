"""Where power is read from while steps are made: sensors of the board, the processor's energy counters.

A source collects samples in a thread of its own (`power_log`). External meters are in `meter`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import perf_counter

from astroedge.runtimes.profiling.sensors import ROOT, EnergyCounter, read_power
from astroedge.step_profile import Reading

HERTZ = 10.0


@dataclass(frozen=True)
class PowerSample:
    """Mean power in W from `start` to `end`, seconds of `time.perf_counter`; the same moment for a single reading."""

    start: float
    end: float
    watts: float


class PowerSource(ABC):
    """Something that tells power: `sensor` says what it measures, `label` how good that is ("measured", "estimated").

    `collect` runs in a thread and appends samples until `stop` is set; it may take a little longer for readings that
    arrive late. `close` lets go of what is open.
    """

    sensor = ""
    label = "measured"

    @abstractmethod
    def collect(self, stop: Event, samples: list[PowerSample]) -> None:
        """Append samples until `stop` is set."""

    def close(self) -> None:  # noqa: B027 - a source that holds nothing open has nothing to do
        """Let go of what is open."""


class PolledSource(PowerSource):
    """A source that is read `hertz` times a second."""

    def __init__(self, first: Reading, read: Callable[[], PowerSample | None], hertz: float = HERTZ) -> None:
        """`first` is a reading that succeeded; `read` takes the next ones, None where one fails."""
        self.sensor, self.label = first.note, first.label
        self._read, self._period = read, 1.0 / hertz

    def collect(self, stop: Event, samples: list[PowerSample]) -> None:
        """Read at due times, as long as asked."""
        due = perf_counter()
        while not stop.is_set():
            sample = self._read()
            if sample is not None:
                samples.append(sample)
            due = max(due + self._period, perf_counter())
            stop.wait(max(0.0, due - perf_counter()))


def find_source(root: Path = ROOT, hertz: float = HERTZ) -> PowerSource | Reading:
    """The board's power sensor, else the processor's energy counters; else why there is neither."""
    power = read_power(root)
    if power.value is not None:
        return PolledSource(power, lambda: _sample_power(root), hertz)
    counter = EnergyCounter(root)
    energy = counter.read()
    if energy.value is None:
        return Reading.unavailable("energy per step", "J", f"{power.note}; {energy.note}")
    return PolledSource(energy, _CounterReader(counter).read, hertz)


def _sample_power(root: Path) -> PowerSample | None:
    start = perf_counter()
    reading = read_power(root)
    return None if reading.value is None else PowerSample(start, perf_counter(), reading.value)


class _CounterReader:
    """Mean power between two readings of the energy counters."""

    def __init__(self, counter: EnergyCounter) -> None:
        self._counter, self._last = counter, perf_counter()

    def read(self) -> PowerSample | None:
        """Since the last reading; None where a counter could not be read, or no time has passed."""
        reading, now = self._counter.read(), perf_counter()
        last, self._last = self._last, now
        if reading.value is None or now <= last:
            return None
        return PowerSample(last, now, reading.value / (now - last))
