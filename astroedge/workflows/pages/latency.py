"""How long a step takes: percentiles and histograms of profiles beside each other."""

from __future__ import annotations

import math
from collections.abc import Sequence

from astroedge.units import duration
from astroedge.workflows.pages.charts import ROW, Range, Ridge, ranges, ridges
from astroedge.workflows.pages.elements import Figure, Section, Table
from astroedge.workflows.pages.shown import Record, Shown

NINE = ("count", "mean", "std", "min", "p50", "p90", "p95", "p99", "max")
BINS = 56
TAIL = 0.995  # histograms end at this share of the steps, so that one hiccup does not flatten them
UNITS = {"ns": 1.0, "µs": 1e3, "ms": 1e6, "s": 1e9}


def latency_section(profiles: Sequence[Shown]) -> Section:
    """Percentiles always, histograms of the profiles that kept their samples."""
    figures = [_percentiles(profiles)]
    kept = [shown for shown in profiles if shown.record["samples"]]
    notes = []
    if kept:
        figures.append(_histograms(kept))
    without = [shown.letter for shown in profiles if not shown.record["samples"]]
    if without:
        whose = f"{', '.join(without)} kept" if len(profiles) > 1 else "The profile kept"
        notes.append(f"{whose} no single times, so no histogram: `astroedge profile BUNDLE --samples --json FILE`.")
    native = [shown for shown in profiles if "native" in shown.record]
    tables = (_native(native),) if native else ()
    return Section("latency", "Time of a step", tuple(notes), tuple(figures), tables)


def _native(profiles: Sequence[Shown]) -> Table:
    """A step in native runs, without Python, by rounds."""
    names = ("p50", "min", "max")
    lines = [(shown.label, *(duration(shown.record["native"][name]) for name in names)) for shown in profiles]
    return Table("A step in native runs, by rounds", ("Profile", "median round", "least", "largest"), tuple(lines))


def fitting_unit(times: Sequence[float]) -> tuple[str, float]:
    """The unit for an axis of times in nanoseconds, and how many nanoseconds it is."""
    middle = sorted(times)[len(times) // 2]
    return max(((name, size) for name, size in UNITS.items() if middle >= size), key=lambda item: item[1],
               default=("ns", 1.0))  # fmt: skip


def timing_range(label: str, timing: Record, colour: str, unit: float) -> Range:
    """The nine numbers of a timing as a line of a chart of ranges."""
    text = f"p50 {duration(timing['p50'])} · p99 {duration(timing['p99'])}"
    floor = 1.0  # a logarithmic axis has no 0
    numbers = [max(float(timing[name]), floor) / unit for name in ("min", "p50", "p95", "p99", "max")]
    return Range(label, text, colour, *numbers)


def timing_cells(timing: Record) -> tuple[str, ...]:
    """The nine numbers for a table."""
    return (f"{timing['count']:,}", *(duration(timing[name]) for name in NINE[1:]))


def _percentiles(profiles: Sequence[Shown]) -> Figure:
    unit, nanoseconds = fitting_unit([shown.record["step"]["p50"] for shown in profiles])
    items = [timing_range(shown.label, shown.record["step"], shown.colour, nanoseconds) for shown in profiles]
    fastest = min(profiles, key=lambda shown: shown.record["step"]["p50"])
    step = fastest.record["step"]
    text = f"Half of all steps are done in {duration(step['p50'])}, 99 of 100 in {duration(step['p99'])}."
    if len(profiles) > 1:
        text = f"{fastest.letter} has the shortest median step, {duration(step['p50'])}."
    lines = tuple((shown.label, *timing_cells(shown.record["step"])) for shown in profiles)
    return Figure.drawn(
        "percentiles",
        "Percentiles",
        f"{text} Line: least to largest; bar: median to p95; ticks: median and p99.",
        lambda width: ranges(items, f"time of a step, {unit}, logarithmic", width),
        Table("Percentiles of a step", ("Profile", *NINE), lines),
        height=ROW * len(items) + 48,
    )


def _histograms(profiles: Sequence[Shown]) -> Figure:
    ordered = {shown.letter: sorted(float(time) for time in shown.record["samples"]) for shown in profiles}
    ends = {letter: times[math.ceil(TAIL * len(times)) - 1] for letter, times in ordered.items()}
    low, high = min(max(times[0], 1.0) for times in ordered.values()), max(ends.values())
    unit, nanoseconds = fitting_unit([times[len(times) // 2] for times in ordered.values()])
    items = [_ridge(shown, ordered[shown.letter], (low, high * 1.001), nanoseconds) for shown in profiles]
    beyond = {letter: sum(time > ends[letter] for time in times) for letter, times in ordered.items()}
    lines = []
    for shown in profiles:
        times = ordered[shown.letter]
        fullest = max(_bins(times, low, high * 1.001), key=lambda item: item[2])
        usual = f"{duration(fullest[0])} to {duration(fullest[1])}"
        over = f"{beyond[shown.letter]:,} to {duration(times[-1])}"
        lines.append((shown.label, f"{len(times):,}", usual, f"{fullest[2]:,}", over))
    headers = ("Profile", "steps", "fullest bin", "steps in it", f"beyond {100 * TAIL:g} %")
    return Figure.drawn(
        "histogram",
        "Histogram",
        f"How many steps took how long, each to its own height; the slowest {100 - 100 * TAIL:.1g} % are not drawn.",
        lambda width: ridges(items, f"time of a step, {unit}, logarithmic", width),
        Table("Histogram of steps", headers, tuple(lines)),
        height=(150 if len(items) == 1 else 84) * len(items) + 48,
    )


def _bins(times: Sequence[float], low: float, high: float) -> list[tuple[float, float, int]]:
    """Bins that are equally wide on a logarithmic axis: from, to, how many; empty ones are left out."""
    width = math.log(max(high / low, 1.01)) / BINS
    counts = [0] * BINS
    for time in times:
        place = int(math.log(max(time, low) / low) / width)
        if place < BINS:
            counts[place] += 1
    return [
        (low * math.exp(width * place), low * math.exp(width * (place + 1)), count)
        for place, count in enumerate(counts)
        if count
    ]


def _ridge(shown: Shown, times: Sequence[float], ends: tuple[float, float], unit: float) -> Ridge:
    found = _bins(times, *ends)
    most = max(count for _, _, count in found)
    bins = tuple(
        (low / unit, high / unit, count / most, f"{duration(low)} to {duration(high)}: {count:,} steps")
        for low, high, count in found
    )
    return Ridge(shown.label, f"{len(times):,} steps", shown.colour, bins)
