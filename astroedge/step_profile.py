"""Profile: what one measurement of a compiled step found, as plain data; every number says where it comes from.

`astroedge.runtimes.profiling.profiler` fills it; this file knows how it is summarised, stored
(`schemas/profile.schema.json`) and laid out in rows. Times are nanoseconds, sizes bytes, rates fractions of 1.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from astroedge.errors import AstroEdgeError

PROFILE_FORMAT = "astroedge-profile"
PROFILE_VERSION = 1
LABELS = ("measured", "estimated", "unavailable")


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
class Profile:
    """Everything one call of `astroedge.profile` measured.

    `inputs` says what was fed, `threads` how many threads computed a step. `step` times single calls of `Session.step`
    from Python, or, where `by` is "executable", of `astro_step` in the program that measured itself. `readings` holds
    load time, first step, native throughput, memory, sizes, energy, temperatures and throttling by name. `machine`
    describes where it was measured, with "gpu" where a GPU computed. `samples` are the raw step times in the order
    taken, empty unless they were asked for.
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

    def rows(self) -> Iterator[tuple[str, str, float | str | None, str, str, str]]:
        """Every number as `(group, name, value, unit, label, note)`, in the order a reader wants them."""
        for quantity, value in asdict(self.step).items():
            yield "step", quantity, value, "steps" if quantity == "count" else "ns", "measured", ""
        yield "step", "threads", self.threads, "", "measured", ""
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
        if self.comparison is not None:
            yield from self._comparison_rows(self.comparison, "gpu" in self.machine)
        for name, text in self.machine.items():
            yield "machine", name, text, "", "measured", ""

    @staticmethod
    def _comparison_rows(
        comparison: Comparison, beside_gpu: bool
    ) -> Iterator[tuple[str, str, float | str | None, str, str, str]]:
        group = f"{comparison.runtime} {comparison.version}{' (processor)' if beside_gpu else ''}"
        lowest, highest = (format_ratio(ratio, 2) for ratio in (comparison.lowest, comparison.highest))
        spread = f"{lowest} to {highest} over {comparison.rounds} rounds"
        yield group, "p50", comparison.theirs, "ns", "measured", ""
        yield group, "p50 of the bundle beside it", comparison.ours, "ns", "measured", ""
        yield group, "times as long as the bundle", comparison.ratio, "", "measured", spread

    def to_csv(self) -> str:
        """The rows as CSV with a header line; floats are written so that they read back unchanged."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("group", "name", "value", "unit", "label", "note"))
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
        step=Timing(**record["step"]),
        readings=tuple(Reading(**item) for item in record["readings"]),
        spikes=tuple(SpikeRate(**item) for item in record["spikes"]),
        operations=SynapticOperations(
            **{**operations, "matrices": tuple(MatrixOperations(**item) for item in operations["matrices"])}
        ),
        comparison=None if comparison is None else Comparison(**comparison),
        samples=tuple(record["samples"]),
        by=record.get("by", "python"),
    )
