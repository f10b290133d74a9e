"""Profile: what one measurement of a compiled step found, as plain data; every number says where it comes from.

`astroedge.runtimes.profiling.profiler` fills it; this file knows how it is summarised, stored
(`schemas/profile.schema.json`) and laid out in rows. Times are nanoseconds, sizes bytes, rates fractions of 1.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from astroedge.errors import AstroEdgeError
from astroedge.host_package import require
from astroedge.kernel_profile import KernelTimes
from astroedge.profile_parts import Energy, Host, Moment, NativeTiming, Paced, Repeat, Row, read_part
from astroedge.profile_parts import Timing as Timing
from astroedge.profile_parts import nearest_rank as nearest_rank

PROFILE_FORMAT = "astroedge-profile"
PROFILE_VERSION = 1
LABELS = ("measured", "estimated", "unavailable")
OPTIONAL = ("native", "repeats", "paced", "timeline", "energy", "host", "digests", "warnings", "raster", "kernels")
"""Members that are left out of the JSON where they were not measured."""
COLUMNS = ("group", "name", "value", "unit", "label", "note")  # of a profile's rows


@dataclass(frozen=True)
class Reading:
    """One number and its standing: "measured", "estimated" or "unavailable" (then `value` is None).

    `note` is the source of a measured value, the assumption behind an estimated one or the reason for a missing one.
    """

    name: str
    value: float | None
    unit: str
    label: str
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse a label that is not one of the three and a value that contradicts it."""
        if self.label not in LABELS or (self.value is None) != (self.label == "unavailable"):
            raise ValueError(f"{self.name}: value {self.value!r} with label {self.label!r}")

    @staticmethod
    def unavailable(name: str, unit: str, reason: str) -> Reading:
        """A number that could not be had, and why."""
        return Reading(name, None, unit, "unavailable", reason)


def format_ratio(ratio: float, decimals: int) -> str:
    """A ratio of two times with so many decimals; one below 0.1 with two digits, so that it is not written as none."""
    return f"{ratio:.{decimals}f}" if ratio >= 0.1 or ratio == 0 else f"{ratio:.2g}"


@dataclass(frozen=True)
class SpikeRate:
    """How often the neurons of one spike tensor fired: `rate` in this profile, `export_rate` on the export's data."""

    name: str
    size: int
    rate: float
    export_rate: float


@dataclass(frozen=True)
class MatrixOperations:
    """Synaptic operations of one matrix in one step.

    `kind` is "AC" when its inputs are spikes and "MAC" when they are not. `effective` counts non-zero weights met by
    non-zero inputs, `dense` all of them. `label` is "measured" when the count is exact, else "estimated" with a note.
    """

    name: str
    kind: str
    effective: float
    dense: int
    label: str
    note: str = ""


@dataclass(frozen=True)
class SynapticOperations:
    """NeuroBench's synaptic operations of one step, summed over the matrices; estimated if any matrix is."""

    effective_acs: float
    effective_macs: float
    dense: int
    label: str
    matrices: tuple[MatrixOperations, ...]


@dataclass(frozen=True)
class Comparison:
    """ONNX Runtime on the same graph, measured in turns with the bundle, on as many threads.

    `ours` and `theirs` are medians of all steps; `ratio` is theirs / ours; `lowest` and `highest` are the extreme
    ratios among the rounds.
    """

    runtime: str
    version: str
    rounds: int
    ours: float
    theirs: float
    ratio: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class SpikeRaster:
    """Which neurons of one spike tensor fired at which tick.

    `neurons` are the flat indices of those that are shown, at most 64 evenly chosen ones; `events` are pairs of a tick
    and a position in `neurons`; `counts` says how many of all neurons fired at each tick. `source` says where the
    neurons were seen; where they cannot be, `neurons` and `events` are empty and `source` says why.
    """

    name: str
    ticks: int
    neurons: tuple[int, ...]
    events: tuple[tuple[int, int], ...]
    counts: tuple[int, ...]
    source: str


@dataclass(frozen=True)
class Profile:
    """Everything one call of `astroedge.profile` measured.

    `inputs` says what was fed, `threads` how many threads computed a step. `step` times single calls of `Session.step`
    from Python, or, where `by` is "executable", of `astro_step` in the program that measured itself. `readings` holds
    load time, first step, native throughput, memory, sizes, energy, temperatures and throttling by name. `machine`
    describes where it was measured, with "gpu" where a GPU computed. `samples` are the raw step times in the order
    taken, empty unless they were asked for; so are `raster` and `kernels`, the time by kernels.

    `native` times a step in native runs, `repeats` what each repeat found, `paced` ticks at their due times, `timeline`
    the course of the measurement; `energy` is that of a step, `digests` the SHA-256 of what was measured, and
    `warnings` say what makes the numbers doubtful.
    """

    model: str
    target: str
    precision: str
    graph_sha256: str
    inputs: str
    warmup: int
    threads: int
    machine: Mapping[str, str]
    step: Timing
    readings: tuple[Reading, ...]
    spikes: tuple[SpikeRate, ...]
    operations: SynapticOperations
    comparison: Comparison | None = None
    samples: tuple[int, ...] = field(default=(), repr=False)
    raster: tuple[SpikeRaster, ...] = field(default=(), repr=False)
    native: NativeTiming | None = None
    repeats: tuple[Repeat, ...] = ()
    paced: Paced | None = None
    timeline: tuple[Moment, ...] = field(default=(), repr=False)
    energy: Energy | None = None
    host: Host | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    kernels: KernelTimes | None = None
    by: str = "python"

    def reading(self, name: str) -> Reading:
        """The reading called `name`; KeyError when the profile has none."""
        for item in self.readings:
            if item.name == name:
                return item
        raise KeyError(name)

    def to_json(self) -> dict[str, Any]:
        """The JSON form, versioned, as `schemas/profile.schema.json` describes it."""
        record = asdict(self)
        record["machine"] = dict(self.machine)
        if self.by == "python":
            del record["by"]
        record["digests"] = dict(self.digests)
        for name in ("paced", "energy", "host", "kernels"):
            part = getattr(self, name)
            record[name] = None if part is None else part.to_json()
        for name in OPTIONAL:
            if not record[name]:
                del record[name]
        return {"format": PROFILE_FORMAT, "version": PROFILE_VERSION, **json.loads(json.dumps(record))}

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> Profile:
        """Read what `to_json` wrote.

        Raises AstroEdgeError for another format or version and for a damaged record.
        """
        if not isinstance(record, Mapping) or record.get("format") != PROFILE_FORMAT:
            raise AstroEdgeError(
                "This is not an AstroEdge profile; is it the file that `astroedge profile --json` wrote?"
            )
        if record.get("version") != PROFILE_VERSION:
            raise AstroEdgeError(
                f"The profile has version {record.get('version')!r}, this AstroEdge reads {PROFILE_VERSION}; "
                "it was probably written by another release: measure again."
            )
        try:
            return _read_profile(record)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AstroEdgeError(f"The profile is damaged ({error!r}); measure again.") from error

    def rows(self) -> Iterator[Row]:
        """Every number as `(group, name, value, unit, label, note)`, in the order a reader wants them."""
        for quantity, value in asdict(self.step).items():
            yield "step", quantity, value, "steps" if quantity == "count" else "ns", "measured", ""
        yield "step", "threads", self.threads, "", "measured", ""
        yield from self._repeat_rows()
        for item in self.readings:
            yield "reading", item.name, item.value, item.unit, item.label, item.note
        for spike in self.spikes:
            yield "firing rate", spike.name, spike.rate, "", "measured", f"{spike.size} neurons"
        total = self.operations
        yield "synaptic operations", "effective ACs", total.effective_acs, "per step", total.label, ""
        yield "synaptic operations", "effective MACs", total.effective_macs, "per step", total.label, ""
        yield "synaptic operations", "dense", total.dense, "per step", "measured", ""
        for matrix in total.matrices:
            unit = f"effective {matrix.kind}s per step"
            yield "synaptic operations", matrix.name, matrix.effective, unit, matrix.label, matrix.note
        for part in (self.energy, self.paced):
            if part is not None:
                yield from part.rows()
        if self.comparison is not None:
            yield from self._comparison_rows(self.comparison, "gpu" in self.machine)
        if self.kernels is not None:
            yield from self.kernels.rows()
        for name, text in self.machine.items():
            yield "machine", name, text, "", "measured", ""
        for name, digest in self.digests.items():
            yield "SHA-256", name, digest, "", "measured", ""

    def _repeat_rows(self) -> Iterator[Row]:
        """One step in native runs, and how far repeats lie apart where there are several."""
        if self.native is not None:
            spread = f"{self.native.min:,.0f} to {self.native.max:,.0f} ns over the rounds"
            yield "native", "step", self.native.p50, "ns", "measured", spread
        if len(self.repeats) > 1:
            for name in ("p50", "mean", "native") if self.native is not None else ("p50", "mean"):
                values = [getattr(item, name) for item in self.repeats]
                low, high = min(values), max(values)
                note = f"{low:,.0f} to {high:,.0f} ns, apart by {100 * (high / low - 1):.1f} %"
                yield "repeats", name, median(values), "ns", "measured", note

    @staticmethod
    def _comparison_rows(comparison: Comparison, beside_gpu: bool) -> Iterator[Row]:
        group = f"{comparison.runtime} {comparison.version}{' (processor)' if beside_gpu else ''}"
        lowest, highest = (format_ratio(ratio, 2) for ratio in (comparison.lowest, comparison.highest))
        spread = f"{lowest} to {highest} over {comparison.rounds} rounds"
        yield group, "p50", comparison.theirs, "ns", "measured", ""
        yield group, "p50 of the bundle beside it", comparison.ours, "ns", "measured", ""
        yield group, "times as long as the bundle", comparison.ratio, "", "measured", spread

    def to_dataframe(self) -> Any:
        """The rows as a pandas DataFrame; `kernels` has one of its own, with a row for each kernel.

        Raises MissingDependencyError without pandas.
        """
        pandas = require("pandas", "a DataFrame")
        return pandas.DataFrame(list(self.rows()), columns=list(COLUMNS))

    def to_csv(self) -> str:
        """The rows as CSV with a header line; floats are written so that they read back unchanged."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(self.rows())
        writer.writerows(
            ("sample", str(index), value, "ns", "measured", "") for index, value in enumerate(self.samples)
        )
        return text.getvalue()


def _read_profile(record: Mapping[str, Any]) -> Profile:
    operations, comparison = record["operations"], record["comparison"]
    return Profile(
        model=record["model"],
        target=record["target"],
        precision=record["precision"],
        graph_sha256=record["graph_sha256"],
        inputs=record["inputs"],
        warmup=record["warmup"],
        threads=record["threads"],
        machine=dict(record["machine"]),
        step=read_part(Timing, record["step"]),
        readings=tuple(read_part(Reading, item) for item in record["readings"]),
        spikes=tuple(read_part(SpikeRate, item) for item in record["spikes"]),
        operations=read_part(
            SynapticOperations,
            {**operations, "matrices": tuple(read_part(MatrixOperations, item) for item in operations["matrices"])},
        ),
        comparison=None if comparison is None else read_part(Comparison, comparison),
        samples=tuple(record["samples"]),
        **_read_optional(record),
        by=record.get("by", "python"),
    )


def _read_raster(record: Mapping[str, Any]) -> SpikeRaster:
    return SpikeRaster(
        name=record["name"],
        ticks=record["ticks"],
        neurons=tuple(record["neurons"]),
        events=tuple((tick, position) for tick, position in record["events"]),
        counts=tuple(record["counts"]),
        source=record["source"],
    )


def _read_optional(record: Mapping[str, Any]) -> dict[str, Any]:
    """The members of `OPTIONAL` that are there."""
    readers: dict[str, Callable[[Any], object]] = {
        "native": lambda part: read_part(NativeTiming, part),
        "repeats": lambda part: tuple(read_part(Repeat, item) for item in part),
        "paced": Paced.from_json,
        "timeline": lambda part: tuple(read_part(Moment, item) for item in part),
        "energy": lambda part: read_part(Energy, part),
        "host": lambda part: read_part(Host, part),
        "digests": dict,
        "raster": lambda part: tuple(_read_raster(item) for item in part),
        "warnings": tuple,
        "kernels": KernelTimes.from_json,
    }
    return {name: read(record[name]) for name, read in readers.items() if name in record}
