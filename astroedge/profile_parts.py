"""Parts of a profile: timings, native and paced steps, how the machine was meanwhile, energy, who measured what.

`astroedge.step_profile.Profile` holds them. Times are nanoseconds unless a name says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

Row = tuple[str, str, float | str | None, str, str, str]
"""Group, name, value, unit, label and note of one number, as `Profile.rows` gives them."""


Part = TypeVar("Part")


def read_part(kind: type[Part], record: Mapping[str, Any]) -> Part:
    """A dataclass from its members in a record; further ones, which a later release may have written, are ignored."""
    names = {item.name for item in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in record.items() if name in names})


@dataclass(frozen=True)
class Timing:
    """Summary of per-step wall times in nanoseconds.

    A percentile pNN is the nearest rank: the smallest sample that at least NN % of all samples do not exceed, so it is
    a time that really occurred. `std` is the sample standard deviation (n − 1), 0 for a single sample.
    """

    count: int
    mean: float
    std: float
    min: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float

    @staticmethod
    def of(samples: Sequence[int]) -> Timing:
        """Summarise `samples`, nanoseconds, at least one."""
        ordered = sorted(samples)
        count = len(ordered)
        mean = math.fsum(ordered) / count
        squares = math.fsum((sample - mean) ** 2 for sample in ordered)
        p50, p90, p95, p99 = (float(nearest_rank(ordered, percent)) for percent in (50, 90, 95, 99))
        std = math.sqrt(squares / (count - 1)) if count > 1 else 0.0
        return Timing(count, mean, std, float(ordered[0]), p50, p90, p95, p99, float(ordered[-1]))


def nearest_rank(ordered: Sequence[int], percent: int) -> int:
    """The `percent`-th percentile of ascending samples by nearest rank: element ⌈percent · n / 100⌉, counted from 1."""
    return ordered[max(1, -(-percent * len(ordered) // 100)) - 1]


@dataclass(frozen=True)
class NativeTiming:
    """One step in a native run: middle, smallest and largest of rounds, each the mean of the steps in it."""

    p50: float
    min: float
    max: float


@dataclass(frozen=True)
class Repeat:
    """One repeat from a reset: middle and mean of its steps from Python, and one step in its native runs."""

    p50: float
    mean: float
    native: float


@dataclass(frozen=True)
class PacedPeer:
    """Another runtime, paced in turns with the bundle; `wake` is how late its ticks began."""

    runtime: str
    version: str
    step: Timing
    wake: Timing
    missed: int


@dataclass(frozen=True)
class Paced:
    """Ticks at their due times, `rate` a second, asleep in between.

    `step` is the time of a step after the sleep, `wake` how late a tick began after it was due, `missed` how many ticks
    were not ready when the next one was due. `seconds` is how long the pacing took.
    """

    rate: float
    period: float
    seconds: float
    step: Timing
    wake: Timing
    missed: int
    peer: PacedPeer | None = None

    def to_json(self) -> dict[str, Any]:
        """The JSON form; `peer` is there only where one was measured."""
        record = asdict(self)
        if self.peer is None:
            del record["peer"]
        return record

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> Paced:
        """Read what `to_json` wrote."""
        peer = None if record.get("peer") is None else read_part(PacedPeer, _with_timings(record["peer"]))
        return read_part(Paced, {**_with_timings(record), "peer": peer})

    def rows(self) -> Iterator[Row]:
        """The numbers for a reader."""
        group = f"paced at {self.rate:g} Hz"
        yield from _paced_rows(group, self.step, self.wake, self.missed)
        if self.peer is not None:
            name = f"{self.peer.runtime} {self.peer.version} {group}"
            yield from _paced_rows(name, self.peer.step, self.peer.wake, self.peer.missed)


def _with_timings(record: Mapping[str, Any]) -> dict[str, Any]:
    return {**record, **{name: read_part(Timing, record[name]) for name in ("step", "wake")}}


def _paced_rows(group: str, step: Timing, wake: Timing, missed: int) -> Iterator[Row]:
    for name in ("p50", "p99", "max"):
        yield group, f"step {name}", getattr(step, name), "ns", "measured", ""
    for name in ("p50", "p99", "max"):
        yield group, f"wake-up late by {name}", getattr(wake, name), "ns", "measured", ""
    yield group, "deadlines missed", missed, f"of {step.count:,}", "measured", ""


@dataclass(frozen=True)
class Moment:
    """One stretch of the steps and the machine at its end; None for what the system does not show.

    `t` is in seconds since the start, `clock` in Hz, `temperature` in °C, `load` the load average over a minute.
    """

    t: float
    p50: float
    max: float
    clock: float | None
    temperature: float | None
    throttled: bool | None
    load: float | None


@dataclass(frozen=True)
class Energy:
    """What one step takes beyond an idle machine: (`busy_watts` − `idle_watts`) × `seconds` / steps.

    `error` is one standard deviation of it, from the spread of the samples; `sensor` says what was measured.
    """

    joules_per_step: float
    error: float
    idle_watts: float
    busy_watts: float
    seconds: float
    sensor: str
    label: str
    steps: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The JSON form; `steps` is there only where somebody counted them."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def rows(self) -> Iterator[Row]:
        """The numbers for a reader."""
        counted = "" if self.steps is None else f"{self.steps:,} steps in "
        note = f"± {self.error:.2g} J; {counted}{self.seconds:.1f} s; {self.sensor}"
        yield "energy", "energy per step, idle power subtracted", self.joules_per_step, "J", self.label, note
        yield "energy", "power while stepping", self.busy_watts, "W", self.label, ""
        yield "energy", "idle power", self.idle_watts, "W", self.label, "mean of before and after"


@dataclass(frozen=True)
class Host:
    """Who measured, when and with what; `governor` and `load` (over a minute, before the start) None if not shown."""

    name: str
    date: str
    system: str
    python: str
    numpy: str
    astroedge: str
    governor: str | None = None
    load: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The JSON form, without what is not shown."""
        return {name: value for name, value in asdict(self).items() if value is not None}
