"""What a measurement went through: its course in time, repeats, and steps at a given rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median

from astroedge.units import duration
from astroedge.workflows.pages.charts import ROW, Line, lines, ranges
from astroedge.workflows.pages.elements import Figure, Missing, Section, Table
from astroedge.workflows.pages.latency import NINE, fitting_unit, timing_cells, timing_range
from astroedge.workflows.pages.shown import Record, Shown

WIDE_SPAN = 8  # between the least and the largest value from which an axis is logarithmic
PIECES = 120  # into which the steps in their order are cut
HOW = "The course over time, with clock, temperature and throttling, is measured where a profile lasts:"


def course_section(profiles: Sequence[Shown]) -> Section | Missing:
    """The timeline of the profiles that have one, the samples in order, and repeats."""
    timed = [shown for shown in profiles if shown.record.get("timeline")]
    kept = [shown for shown in profiles if len(shown.record["samples"]) >= 2]
    repeated = [shown for shown in profiles if shown.record.get("repeats")]
    figures: list[Figure] = []
    if timed:
        figures += [_timeline(timed), *_sensors(timed)]
    if kept:
        figures.append(_in_order(kept))
    if repeated:
        figures.append(_repeats(repeated))
    if not figures:
        return Missing("Course over time", HOW, "astroedge profile BUNDLE --duration 60 --json FILE")
    note = "" if timed else f"{HOW} `astroedge profile BUNDLE --duration 60 --json FILE`."
    return Section("course", "Course over time", (note,) if note else (), tuple(figures))


def _timeline(profiles: Sequence[Shown]) -> Figure:
    unit, nanoseconds = fitting_unit([point["p50"] for shown in profiles for point in shown.record["timeline"]])
    items = [
        Line(shown.letter, shown.colour, tuple((p["t"], p[what] / nanoseconds) for p in shown.record["timeline"]), slow)
        for shown in profiles
        for what, slow in (("p50", False), ("max", True))
    ]
    slowed = [(p["t"], s.colour) for s in profiles for p in s.record["timeline"] if p.get("throttled")]
    text = "Solid: median; dotted: the slowest step of each moment."
    text += _slowed_text(profiles, bool(slowed))
    table = tuple(
        (shown.letter, f"{p['t']:g}", duration(p["p50"]), duration(p["max"]), *_sensor_cells(p))
        for shown in profiles
        for p in shown.record["timeline"]
    )
    headers = ("Profile", "seconds", "p50", "max", "clock", "temperature", "slowed down", "load")
    return Figure.drawn(
        *("timeline", "Timeline", text),
        lambda width: lines(
            items,
            ("seconds", f"time of a step, {unit}"),
            logarithmic=_is_wide(items),
            marks=slowed,
            lettered=len(profiles) > 1,
        ),
        Table("Timeline", headers, table),
    )


def _slowed_text(profiles: Sequence[Shown], slowed: bool) -> str:
    if slowed:
        return " Triangles: the processor was slowed down."
    known = [p["throttled"] for shown in profiles for p in shown.record["timeline"] if p.get("throttled") is not None]
    return " The processor was not slowed down." if known else " Whether the processor was slowed down is not known."


def _is_wide(items: Sequence[Line]) -> bool:
    """Whether the values are so far apart that a linear axis would show the largest alone."""
    values = [value for item in items for _, value in item.points if value]
    return bool(values) and max(values) > WIDE_SPAN * min(values)


def _sensor_cells(point: Record) -> tuple[str, ...]:
    clock, heat, load = (point.get(name) for name in ("clock", "temperature", "load"))
    slowed = {True: "yes", False: "no"}.get(point.get("throttled"), "–")  # type: ignore[arg-type]
    return (
        "–" if clock is None else f"{clock / 1e9:.2f} GHz",
        "–" if heat is None else f"{heat:.1f} °C",
        slowed,
        "–" if load is None else f"{load:.2f}",
    )


def _sensors(profiles: Sequence[Shown]) -> list[Figure]:
    """Clock and temperature over the same time, where they were read."""
    wanted: tuple[tuple[str, str, str, Callable[[float], float]], ...] = (
        ("clock", "Clock of the processor", "GHz", lambda value: value / 1e9),
        ("temperature", "Temperature of the processor", "°C", lambda value: value),
    )
    found = []
    for name, title, unit, scale in wanted:
        points = {
            shown.letter: tuple((p["t"], scale(p[name])) for p in shown.record["timeline"] if p.get(name) is not None)
            for shown in profiles
        }
        having = [shown for shown in profiles if points[shown.letter]]
        if having:
            found.append(_sensor(name, title, unit, having, points))
    return found


def _sensor(
    name: str, title: str, unit: str, having: Sequence[Shown], points: dict[str, tuple[tuple[float, float], ...]]
) -> Figure:
    items = [Line(shown.letter, shown.colour, points[shown.letter]) for shown in having]
    ends = []
    for shown in having:
        values = [value for _, value in points[shown.letter]]
        ends.append((shown.label, *(f"{value:.2f}" for value in (values[0], min(values), max(values), values[-1]))))
    low, high = (pick(float(line[index]) for line in ends) for pick, index in ((min, 2), (max, 3)))
    return Figure.drawn(
        *(name, title, f"Between {low:.4g} and {high:.4g} {unit}."),
        lambda width: lines(items, ("seconds", unit), zero=False, lettered=len(having) > 1),
        Table(title, ("Profile", f"first, {unit}", "least", "largest", "last"), tuple(ends)),
        height=180,
    )


def _in_order(profiles: Sequence[Shown]) -> Figure:
    """Medians and slowest steps of consecutive pieces."""
    pieces = {shown.letter: _pieces(shown.record["samples"]) for shown in profiles}
    unit, nanoseconds = fitting_unit([piece[1] for found in pieces.values() for piece in found])
    items = []
    for shown in profiles:
        found = pieces[shown.letter]
        items.append(Line(shown.letter, shown.colour, tuple((at, middle / nanoseconds) for at, middle, _ in found)))
        if len(profiles) == 1:
            slow = tuple((at, most / nanoseconds) for at, _, most in found)
            items.append(Line(shown.letter, shown.colour, slow, dashed=True))
    table = []
    for shown in profiles:
        middles = [middle for _, middle, _ in pieces[shown.letter]]
        first, last = median(middles[: len(middles) // 4 or 1]), median(middles[-(len(middles) // 4 or 1) :])
        table.append((shown.label, duration(first), duration(last), f"{last / first:.2f}"))
    drawn = "Solid: median, dotted: slowest" if len(profiles) == 1 else "The median"
    return Figure.drawn(
        *("order", "Steps in the order taken", f"{drawn} of each of up to {PIECES} pieces of the measurement."),
        lambda width: lines(
            items, ("step", f"time of a step, {unit}"), logarithmic=_is_wide(items), lettered=len(profiles) > 1
        ),
        Table(
            "First and last quarter of the steps",
            ("Profile", "median of the first quarter", "of the last", "last / first"),
            tuple(table),
        ),
    )


def _pieces(samples: Sequence[int]) -> list[tuple[int, float, int]]:
    """The steps in pieces: where each begins, its median and its largest."""
    count = min(PIECES, len(samples))
    ends = [len(samples) * index // count for index in range(count + 1)]
    return [(first, float(median(samples[first:end])), max(samples[first:end])) for first, end in pairwise(ends)]


def _repeats(profiles: Sequence[Shown]) -> Figure:
    unit, nanoseconds = fitting_unit([item["p50"] for shown in profiles for item in shown.record["repeats"]])
    items = [
        Line(
            shown.letter,
            shown.colour,
            tuple((n, item["p50"] / nanoseconds) for n, item in enumerate(shown.record["repeats"], 1)),
        )
        for shown in profiles
    ]
    table = tuple(
        (shown.letter, str(n), duration(item["p50"]), duration(item["mean"]), _native_time(item))
        for shown in profiles
        for n, item in enumerate(shown.record["repeats"], 1)
    )
    spread = []
    for shown in profiles:
        middles = [item["p50"] for item in shown.record["repeats"]]
        spread.append(f"{shown.lead}{100 * (max(middles) / max(min(middles), 1) - 1):.1f} %")
    return Figure.drawn(
        *("repeats", "Repeats", f"Medians of whole repeats; from least to largest: {', '.join(spread)}."),
        lambda width: lines(items, ("repeat", f"median step, {unit}"), whole=True, lettered=len(profiles) > 1),
        Table("Repeats", ("Profile", "repeat", "p50", "mean", "native"), table),
        height=180,
    )


def _native_time(item: Record) -> str:
    return duration(item["native"]) if item.get("native") is not None else "–"


def paced_section(profiles: Sequence[Shown]) -> Section | Missing:
    """Steps that begin at a given rate: how late, how long, how many missed."""
    paced = [shown for shown in profiles if "paced" in shown.record]
    if not paced:
        how = "How steps keep to the rate of a sensor, and how many come too late, is measured at a given rate:"
        return Missing("At a given rate", how, "astroedge profile BUNDLE --rate 100 --json FILE")
    measured = [item for shown in paced for item in _paced_timings(shown)]
    unit, nanoseconds = fitting_unit([timing["p50"] for _, timing, _ in measured])
    items = [timing_range(label, timing, colour, nanoseconds) for label, timing, colour in measured]
    periods = {shown.record["paced"]["period"] for shown in paced}
    limit = periods.pop() / nanoseconds if len(periods) == 1 else None
    shortest = min(item.minimum for item in items)
    reaches = limit is not None and limit < 50 * max(item.maximum for item in items) and limit > shortest
    figure = Figure.drawn(
        "paced",
        "Steps at a given rate",
        " ".join(_kept_rate(shown) for shown in paced) + " Dashed: the period." * reaches,
        lambda width: ranges(items, f"{unit}, logarithmic", width, limit if reaches else None),
        Table(
            "Steps at a given rate",
            ("What", *NINE),
            tuple((label, *timing_cells(timing)) for label, timing, _ in measured),
        ),
        height=ROW * len(items) + 48,
    )
    return Section("paced", "At a given rate", (), (figure,))


def _paced_timings(shown: Shown) -> list[tuple[str, Record, str]]:
    paced = shown.record["paced"]
    found = [
        (f"{shown.tag}step", paced["step"], shown.colour),
        (f"{shown.tag}begun after due", paced["wake"], shown.colour),
    ]
    if "peer" in paced:
        name = f"{shown.tag}{paced['peer']['runtime']}"
        found.append((f"{name} · step", paced["peer"]["step"], "var(--peer)"))
        found.append((f"{name} · begun after due", paced["peer"]["wake"], "var(--peer)"))
    return found


def _kept_rate(shown: Shown) -> str:
    paced = shown.record["paced"]
    text = f"{shown.lead}{paced['rate']:g} ticks a second for {paced['seconds']:.3g} s, "
    text += f"a period of {duration(paced['period'])}; {_missed(paced)}"
    if "peer" in paced:
        text += f"; with {paced['peer']['runtime']} {_missed(paced['peer'])}"
    return text + "."


def _missed(paced: Record) -> str:
    count = paced["missed"]
    return "no tick came too late" if count == 0 else f"{count:,} tick{'s' * (count != 1)} came too late"
