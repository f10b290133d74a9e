"""What each kernel of a step takes: part of a profile, as plain data. Times are nanoseconds, sizes bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from typing import Any

from astroedge.host_package import require
from astroedge.profile_parts import read_part

KINDS = ("event", "dense", "other")


@dataclass(frozen=True)
class Instrumented:
    """An instrumented tick beside a plain one, both in native runs by one thread.

    `step` and `plain` are what either takes and `ratio` is the first over the second. `sum` is what all kernels take
    together and `clock` what reading the time between them takes, which is not in their times.
    """

    step: float
    plain: float
    ratio: float
    sum: float
    clock: float


@dataclass(frozen=True)
class KernelTime:
    """What the calls of one kernel for one module take in a tick: `time` on average, `share` of all kernels.

    `kind` is "event" where weights are read by active inputs, "dense" for other products, else "other". `bytes` are
    read and written in a tick; `inputs` counts the elements of which only `active`, on average, are worked on, None
    where all are. `bandwidth` is bytes a second. `predicted` is what the compiler expected at this activity and the
    processor's clock, None where it has no estimate of the kernel or the clock is not known.
    """

    name: str
    module: str
    operator: str
    kind: str
    calls: int
    time: float
    share: float
    bytes: float
    inputs: int | None
    active: float | None
    bandwidth: float
    predicted: float | None

    @property
    def title(self) -> str:
        """Module and operator, to name it for people."""
        return f"{self.module}: {self.operator}" if self.module else self.operator


@dataclass(frozen=True)
class KernelTrace:
    """Some ticks one by one: of every call its index in `names`, begin and end in nanoseconds since the first began."""

    names: tuple[str, ...]
    modules: tuple[str, ...]
    ticks: tuple[tuple[float, ...], ...]
    """Of each tick when every call began and, last, when it ended."""

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> KernelTrace:
        """Read the members of a trace; KeyError, TypeError or ValueError for a damaged record."""
        names, modules = (tuple(record[part]) for part in ("names", "modules"))
        ticks = tuple(tuple(map(float, tick)) for tick in record["ticks"])
        if not all(isinstance(text, str) for text in names + modules) or len(names) != len(modules):
            raise ValueError("a trace names every kernel and its module")
        if any(len(tick) != len(names) + 1 or not all(map(isfinite, tick)) for tick in ticks):
            raise ValueError("every tick of a trace has a time for each kernel and its end")
        return KernelTrace(names, modules, ticks)


@dataclass(frozen=True)
class KernelTimes:
    """The time of an instrumented tick by kernels, in the order of the tick; `trace` is not part of the JSON."""

    instrumented: Instrumented
    items: tuple[KernelTime, ...]
    trace: KernelTrace | None = field(default=None, compare=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {"instrumented": asdict(self.instrumented), "items": [asdict(item) for item in self.items]}

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> KernelTimes:
        """Read what `to_json` wrote; KeyError or TypeError for a damaged record."""
        items = tuple(read_part(KernelTime, item) for item in record["items"])
        return KernelTimes(read_part(Instrumented, record["instrumented"]), items)

    def to_dataframe(self) -> Any:
        """A pandas DataFrame with a row for each kernel and the members of `KernelTime` as columns.

        Raises MissingDependencyError without pandas.
        """
        pandas = require("pandas", "a DataFrame")
        return pandas.DataFrame(
            [asdict(item) for item in self.items], columns=[item.name for item in fields(KernelTime)]
        )

    def rows(self) -> Iterator[tuple[str, str, float | str | None, str, str, str]]:
        """The numbers as `(group, name, value, unit, label, note)`."""
        for quantity, value in asdict(self.instrumented).items():
            yield "instrumented", quantity, value, "" if quantity == "ratio" else "ns", "measured", ""
        for item in self.items:
            yield "kernel", item.title, item.time, "ns", "measured", _note(item)


def _note(item: KernelTime) -> str:
    """What belongs to a time, in words."""
    parts = [f"{item.name}, {item.share:.1%} of all kernels, {item.bytes:,.0f} bytes"]
    if item.active is not None:
        parts.append(f"{item.active:,.1f} of {item.inputs:,} inputs active")
    if item.predicted is not None:
        parts.append(f"expected {item.predicted:,.0f} ns")
    return "; ".join(parts)
