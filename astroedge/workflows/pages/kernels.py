"""Where the time of a step goes, kernel by kernel, and how near to the machine's limits it is spent."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from astroedge.bundle.manifest import JOINED
from astroedge.units import duration, percent, size
from astroedge.workflows.pages.charts import Bar
from astroedge.workflows.pages.compared import MOST_BARS, bar_figure
from astroedge.workflows.pages.elements import Figure, Missing, Section, Table
from astroedge.workflows.pages.shown import Record, Shown

KINDS = {"event": "var(--event)", "dense": "var(--dense)", "other": "var(--peer)"}
COMMAND = "astroedge profile BUNDLE --kernels --json FILE"
COLUMNS = (
    *("Kernel", "module", "operator", "kind", "calls", "time", "share", "bytes"),
    *("inputs", "active", "bandwidth", "predicted"),
)
BANDWIDTH_MARGIN, LIMIT_MARGIN = 3.0, 1.5


def kernels_section(profiles: Sequence[Shown]) -> Section | Missing:
    """The kernels of each profile that measured them, the longest first."""
    measured = [shown for shown in profiles if shown.record.get("kernels", {}).get("items")]
    if not measured:
        return Missing("Kernels", "Which kernel takes how long is measured with an instrumented build:", COMMAND)
    figures = tuple(_kernels(shown, len(profiles) > 1) for shown in measured)
    without = [shown.letter for shown in profiles if shown not in measured]
    notes = (f"Not measured for {', '.join(without)}: `{COMMAND}`.",) if without else ()
    return Section("kernels", "Kernels", notes, figures)


def _kernels(shown: Shown, lettered: bool) -> Figure:
    kernels = shown.record["kernels"]
    items = sorted(kernels["items"], key=lambda item: -item["time"])
    longest = max(items[0]["time"], *(item.get("predicted") or 0 for item in items)) or 1
    found = [_bar(item, longest) for item in items[:MOST_BARS]]
    rest = items[MOST_BARS:]
    if rest:
        time = sum(item["time"] for item in rest)
        share = percent(sum(item["share"] for item in rest))
        label = f"{len(rest)} further kernels"
        found.append(Bar(label, f"{duration(time)} · {share}", min(time / longest, 1), "var(--peer)", label))
    instrumented = kernels["instrumented"]
    text = f"{len(items)} kernels take {duration(instrumented['sum'])} of a tick of {duration(instrumented['plain'])}; "
    text += f"measuring them makes a tick {instrumented['ratio']:.2f} times as long. "
    text += "Event-driven (green), dense (blue), other (grey)."
    if any(item.get("predicted") is not None for item in items):
        text += " Upright tick: what the cost model predicted."
    title = f"Kernels of {shown.label}" if lettered else "Time of each kernel"
    table = Table(title, COLUMNS, tuple(_cells(item) for item in items))
    return bar_figure(f"kernels-{shown.letter}", title, text, found, table)


def _bar(item: Record, longest: float) -> Bar:
    label = " · ".join(part for part in (item["module"] or item["name"], item["operator"], item["kind"]) if part)
    text = f"{duration(item['time'])} · {percent(item['share'])}"
    predicted = item.get("predicted")
    tip = f"{item['name']}: {text}" + ("" if predicted is None else f", predicted {duration(predicted)}")
    mark = None if predicted is None else predicted / longest
    return Bar(label, text, item["time"] / longest, KINDS.get(item["kind"], "var(--peer)"), tip, mark=mark)


def _cells(item: Record) -> tuple[str, ...]:
    def number(name: str, form: str = ",.0f") -> str:
        return "–" if item.get(name) is None else format(item[name], form)

    rate = item.get("bandwidth")
    return (
        *(item["name"], item["module"] or "–", item["operator"], item["kind"], number("calls", ",.3g")),
        *(
            duration(item["time"]),
            percent(item["share"]),
            "–" if item.get("bytes") is None else size(int(item["bytes"])),
        ),
        *(number("inputs"), number("active", ",.1f"), "–" if rate is None else f"{rate / 1e9:.2f} GB/s"),
        "–" if item.get("predicted") is None else duration(item["predicted"]),
    )


@dataclass(frozen=True)
class _Point:
    """A module, or a whole step, under the roof: operations a byte and operations a second."""

    letter: str
    tag: str
    colour: str
    name: str
    operations: float
    moved: float
    time: float

    @property
    def intensity(self) -> float:
        return self.operations / self.moved

    @property
    def speed(self) -> float:
        """Operations a nanosecond."""
        return self.operations / self.time


def roofline_section(profiles: Sequence[Shown], limits: Mapping[str, float]) -> Section | Missing:
    """Operations a second over operations a byte; `limits` are bytes a second of memory by target, where known."""
    points = [point for shown in profiles for point in _points(shown)]
    if not points:
        how = "A roofline needs the bytes and times of kernels and the step's synaptic operations:"
        return Missing("Roofline", how, COMMAND)
    roofs = [(shown, *roof) for shown in profiles if (roof := _roof(shown, limits)) is not None]
    shapes = ", ".join(f"{shown.lead}{name} {rate / 1e9:.3g} GB/s" for shown, rate, name, _ in roofs)
    text = "A point below a slope moves its bytes more slowly than the slope says. " + f"Slopes: {shapes}." * bool(
        roofs
    )
    if any(not known for *_, known in roofs):
        text += " The limit of the memory itself is not known for this target."
    lines = tuple(
        (p.letter, p.name, f"{p.operations:,.0f}", size(int(p.moved)), duration(p.time), f"{p.intensity:.3g}",
         f"{p.speed:.3g}", f"{p.moved / p.time:.3g}")
        for p in points
    )  # fmt: skip
    headers = ("Profile", "module", "operations", "moved", "time", "operations / byte", "10⁹ operations / s", "GB/s")
    table = Table("Roofline", headers, lines)
    figure = Figure.drawn(
        "roofline-chart", "Roofline", text, lambda width: _roofline(points, roofs, width), table, height=300
    )
    return Section("roofline", "Roofline", (), (figure,))


def _points(shown: Shown) -> list[_Point]:
    """The modules whose kernels and matrices both are known, and the whole step.

    Products that are one kernel are one point, and none by themselves.
    """
    items = shown.record.get("kernels", {}).get("items") or []
    matrices = shown.record["operations"]["matrices"]
    modules = sorted({item["module"] for item in items if item["module"]})
    members = {name for module in modules if JOINED in module for name in module.split(JOINED)}
    named = {*modules, *members}
    found = []
    for module in (item for item in modules if item not in members):
        names = {module, *module.split(JOINED)}
        done = sum(_operations(m) for m in matrices if _module_of(m, named) in names)
        own = [item for item in items if item["module"] == module]
        found.append((module, done, own))
    found.append(("whole step", sum(map(_operations, matrices)), items))
    points = [
        _Point(
            shown.letter,
            shown.tag,
            shown.colour,
            name,
            done,
            sum(i["bytes"] or 0 for i in own),
            sum(i["time"] for i in own),
        )
        for name, done, own in found
    ]
    return [point for point in points if point.operations > 0 and point.moved > 0 and point.time > 0]


def _module_of(matrix: Record, named: Collection[str]) -> str:
    """Whose kernels compute a matrix: its own, or where none is named after it those of the module that it is in."""
    name = str(matrix["name"])
    return name if name in named else name.rpartition(".")[0]


def _operations(matrix: Record) -> float:
    """An accumulate is one operation, a multiply-accumulate two."""
    return float(matrix["effective"]) * (1 if matrix["kind"] == "AC" else 2)


def _roof(shown: Shown, limits: Mapping[str, float]) -> tuple[float, str, bool] | None:
    """Bytes a second, what they are and whether that is the machine's limit."""
    known = limits.get(shown.record["target"])
    if known:
        return known, "memory", True
    rates = [1e9 * point.moved / point.time for point in _points(shown)]
    return (max(rates), "its fastest module", False) if rates else None


def _roofline(points: Sequence[_Point], roofs: Sequence[tuple[Shown, float, str, bool]], width: int) -> dict[str, Any]:
    intensities = [point.intensity for point in points]
    low, high = min(intensities) / BANDWIDTH_MARGIN, max(intensities) * BANDWIDTH_MARGIN
    tops = [high * rate / 1e9 for _, rate, _, _ in roofs]
    bottom = min(point.speed for point in points) / BANDWIDTH_MARGIN
    top = max([point.speed * BANDWIDTH_MARGIN for point in points] + tops)
    x = {"field": "x", "type": "quantitative", "scale": {"type": "log", "domain": [low, high], "nice": False}}
    y = {"field": "y", "type": "quantitative", "scale": {"type": "log", "domain": [bottom, top], "nice": False}}
    x["axis"] = {"title": "operations a byte", "format": "~g", "values": _decades(low, high)}
    y["axis"] = {"title": "10⁹ operations a second", "format": "~g", "values": _decades(bottom, top)}
    layers: list[dict[str, Any]] = []
    for shown, rate, _, known in roofs:
        start = max(low, bottom / (rate / 1e9))
        ends = [{"x": at, "y": at * rate / 1e9} for at in (start, high)]
        mark: dict[str, Any] = {"type": "line", "strokeWidth": 2, "color": shown.colour, "clip": True}
        layers.append({"data": {"values": ends}, "mark": mark | ({} if known else {"strokeDash": [6, 4]}),
                       "encoding": {"x": x, "y": y}})  # fmt: skip
    whole = [_entry(point) for point in points if point.name == "whole step"]
    parts = [_entry(point) for point in points if point.name != "whole step"]
    colour = {"field": "colour", "type": "nominal", "scale": None, "legend": None}
    encoding = {"x": x, "y": y, "color": colour, "description": {"field": "tip"}}
    for data, shape, area in ((parts, "circle", 70), (whole, "diamond", 180)):
        mark = {"type": "point", "shape": shape, "filled": True, "size": area, "opacity": 0.9}
        layers.append({"data": {"values": data}, "mark": mark, "encoding": encoding})
    named = {"type": "text", "align": "left", "dx": 9, "dy": -7, "fontWeight": 700}
    layers.append({"data": {"values": whole}, "mark": named,
                   "encoding": {"x": x, "y": y, "text": {"field": "label"}, "color": colour}})  # fmt: skip
    return {"layer": layers}


def _entry(point: _Point) -> dict[str, Any]:
    tip = f"{point.tag}{point.name}: {point.speed:.3g} operations a ns, {point.intensity:.3g} a byte"
    return {
        "x": point.intensity,
        "y": point.speed,
        "label": point.letter if point.tag else point.name,
        "colour": point.colour,
        "tip": tip,
    }


def _decades(low: float, high: float) -> list[float]:
    found = [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
    return found if len(found) > 1 else [low * LIMIT_MARGIN, *found, high / LIMIT_MARGIN]
