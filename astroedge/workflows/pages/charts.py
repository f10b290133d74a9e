"""The kinds of charts that a page has, as Vega-Lite: bars, ranges of times, lines, histograms, rasters, a roofline.

Each returns what a chart is for any width. Names and texts go in as data alone, never into an expression.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Layers = list[dict[str, Any]]
ROW = 40  # CSS pixels of a bar with the line of text above it
LABELS = 90  # CSS pixels a label of a logarithmic axis
_PLAIN = {"field": "colour", "type": "nominal", "scale": None, "legend": None}


@dataclass(frozen=True)
class Bar:
    """A bar with its name above it at the left and its value at the right.

    `share` is its length as a share of the chart, `mark` where a tick stands across it, `low` and `high` the ends of
    its error; `behind` the length of a paler bar.
    """

    label: str
    text: str
    share: float
    colour: str
    tip: str
    mark: float | None = None
    behind: float | None = None
    low: float | None = None
    high: float | None = None


def bars(items: Sequence[Bar], width: int) -> dict[str, Any]:
    """Horizontal bars, one below the other; the height is `ROW` a bar."""
    data = [{"row": index, **vars(item)} for index, item in enumerate(items)]
    for entry in data:
        row = entry["row"]
        entry |= {"line": row + 0.3, "top": row + 0.48, "bottom": row + 0.8, "middle": row + 0.64}
        entry |= {"over": row + 0.46, "under": row + 0.86, "zero": 0}
    y = _rows(len(items))
    x = {"type": "quantitative", "scale": {"domain": [0, 1]}, "axis": None}
    layers: Layers = [
        {
            "transform": [{"filter": "datum.behind !== null"}],
            "mark": {"type": "rect", "fillOpacity": 0.3},
            "encoding": _box(x | {"field": "zero"}, "behind", y),
        },
        {"mark": "rect", "encoding": _box(x | {"field": "zero"}, "share", y)},
        {
            "transform": [{"filter": "datum.mark !== null"}],
            "mark": {"type": "rule", "strokeWidth": 3, "color": "var(--ink)"},
            "encoding": {"x": x | {"field": "mark"}, "y": y | {"field": "over"}, "y2": {"field": "under"}},
        },
        {
            "transform": [{"filter": "datum.low !== null"}],
            "mark": {"type": "rule", "strokeWidth": 2, "color": "var(--ink)"},
            "encoding": {"x": x | {"field": "low"}, "x2": {"field": "high"}, "y": y | {"field": "middle"}},
        },
        *_labels(y, width, 0.66),
    ]
    return {"data": {"values": data}, "layer": layers}


def _rows(count: int) -> dict[str, Any]:
    """A vertical axis on which row n lies between n and n + 1, from the top, and that is not drawn."""
    return {"type": "quantitative", "scale": {"domain": [0, count], "reverse": True, "nice": False}, "axis": None}


def _box(x: dict[str, Any], end: str, y: dict[str, Any]) -> dict[str, Any]:
    return {
        **{"x": x, "x2": {"field": end}, "y": y | {"field": "top"}, "y2": {"field": "bottom"}},
        **{"color": _PLAIN, "description": {"field": "tip"}},
    }


def _labels(y: dict[str, Any], width: int, share: float) -> Layers:
    """A row's name at the left, in no more than a share of the width, and its value at the right."""
    place = y | {"field": "line"}
    return [
        {
            "mark": {"type": "text", "align": "left", "limit": round(width * share)},
            "encoding": {"x": {"value": 0}, "y": place, "text": {"field": "label"}},
        },
        {
            "mark": {"type": "text", "align": "right", "fontWeight": 600},
            "encoding": {"x": {"value": "width"}, "y": place, "text": {"field": "text"}},
        },
    ]


@dataclass(frozen=True)
class Range:
    """Times of many steps in one line: its name, what is written at the right, and the summary's numbers."""

    label: str
    text: str
    colour: str
    minimum: float
    p50: float
    p95: float
    p99: float
    maximum: float


def ranges(items: Sequence[Range], title: str, width: int, limit: float | None = None) -> dict[str, Any]:
    """A thin line from the least to the largest, a bar from the median to p95, ticks at median and p99.

    The axis is logarithmic. `limit` draws a dashed line through all of them.
    """
    data = [{"row": index, **vars(item)} for index, item in enumerate(items)]
    for entry in data:
        row = entry["row"]
        entry |= {"line": row + 0.3, "top": row + 0.5, "bottom": row + 0.82, "middle": row + 0.66}
    y, x = (
        _rows(len(items)),
        _log_axis([entry["minimum"] for entry in data], [e["maximum"] for e in data], title, width),
    )
    layers: Layers = [
        {
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {
                **{"x": x | {"field": "minimum"}, "x2": {"field": "maximum"}, "y": y | {"field": "middle"}},
                "color": _PLAIN,
            },
        },
        {"mark": {"type": "rect", "fillOpacity": 0.45}, "encoding": _box(x | {"field": "p50"}, "p95", y)},
        *({
            "mark": {"type": "rule", "strokeWidth": thick},
            "encoding": {
                **{"x": x | {"field": name}, "y": y | {"field": "top"}, "y2": {"field": "bottom"}},
                "color": _PLAIN,
            },
        } for name, thick in (("p50", 4), ("p99", 2))),
        *_labels(y, width, (width - 190) / width),
    ]  # fmt: skip
    for entry in data:
        entry["tip"] = f"{entry['label']}: {entry['text']}"
    if limit is not None:
        layers.append(_rules_at(x, y, limit, len(items)))
    return {"data": {"values": data}, "layer": layers}


def _rules_at(x: dict[str, Any], y: dict[str, Any], place: float, rows: int) -> dict[str, Any]:
    """A dashed line through all rows, but for their texts."""
    ends = [{"at": place, "top": row + 0.46, "bottom": row + 0.9} for row in range(rows)]
    return {
        "data": {"values": ends},
        "mark": {"type": "rule", "strokeWidth": 2, "strokeDash": [5, 4], "color": "var(--muted)"},
        "encoding": {"x": x | {"field": "at"}, "y": y | {"field": "top"}, "y2": {"field": "bottom"}},
    }


def _log_axis(lows: Sequence[float], highs: Sequence[float], title: str, width: int) -> dict[str, Any]:
    """A logarithmic axis with few labels from the least to the largest number, which are above 0."""
    low, high = min(lows), max(highs)
    low, high = low / 1.06, max(high * 1.06, low * 1.3)
    values = _log_ticks(low, high, max(3, width // LABELS))
    axis = {"title": title, "values": values, "format": "~g", "tickCount": len(values)}
    return {"type": "quantitative", "scale": {"type": "log", "domain": [low, high], "nice": False}, "axis": axis}


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers between two others: of the finest of some series that gives no more than `most`."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = ((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9), (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))
    for series in steps:
        found = [float(f"{step}e{power}") for power in range(first, last + 1) for step in series]
        inside = [value for value in found if low <= value <= high]
        if len(inside) <= most:
            return inside
    return inside[:: -(-len(inside) // most)]


@dataclass(frozen=True)
class Ridge:
    """The histogram of one profile: its name and value, and of each bin its ends and its height as a share."""

    label: str
    text: str
    colour: str
    bins: tuple[tuple[float, float, float, str], ...]  # from, to, height of 1, tip


def ridges(items: Sequence[Ridge], title: str, width: int) -> dict[str, Any]:
    """Histograms in rows over one logarithmic axis."""
    labels = [{"line": i + 0.14, "label": item.label, "text": item.text} for i, item in enumerate(items)]
    data: list[dict[str, Any]] = [
        {"from": low, "to": high, "top": row + 1 - 0.74 * share, "bottom": row + 1, "tip": tip, "colour": item.colour}
        for row, item in enumerate(items)
        for low, high, share, tip in item.bins
    ]
    y = _rows(len(items))
    x = _log_axis([item["from"] for item in data], [item["to"] for item in data], title, width)
    return {
        "layer": [
            {"data": {"values": data}, "mark": {"type": "rect"}, "encoding": _box(x | {"field": "from"}, "to", y)},
            *({"data": {"values": labels}, **layer} for layer in _labels(y, width, 0.5)),
        ]
    }


@dataclass(frozen=True)
class Line:
    """Points of one series, in order; None breaks the line."""

    letter: str
    colour: str
    points: tuple[tuple[float, float | None], ...]
    dashed: bool = False


def lines(
    items: Sequence[Line],
    titles: tuple[str, str],
    *,
    zero: bool = True,
    logarithmic: bool = False,
    whole: bool = False,
    marks: Sequence[tuple[float, str]] = (),
    lettered: bool = True,
) -> dict[str, Any]:
    """Lines over a common axis with the letter of each at its end.

    `zero` has a linear axis of values begin there, `whole` the other axis show only where points are. `marks` are
    triangles at the bottom, each with its colour.
    """
    x = {"field": "x", "type": "quantitative", "scale": {"nice": False, "zero": False}} | _plain_axis(
        titles[0], items, whole
    )
    y: dict[str, Any] = {"field": "y", "type": "quantitative", "scale": {"zero": zero}}
    y["axis"] = {"title": titles[1], "tickCount": 5}
    if logarithmic:
        values = [value for item in items for _, value in item.points if value]
        y |= _log_axis(values, values, titles[1], LABELS * 6)
    layers: Layers = []
    for item in items:
        points = [{"x": at, "y": value} for at, value in item.points]
        mark: dict[str, Any] = {"type": "line", "strokeWidth": 1 if item.dashed else 2, "color": item.colour}
        if item.dashed:
            mark["strokeDash"] = [3, 3]
        layers.append({"data": {"values": points}, "mark": mark, "encoding": {"x": x, "y": y}})
        last = next((point for point in reversed(points) if point["y"] is not None), None)
        if last and lettered and not item.dashed:
            end = {"type": "text", "align": "right", "dy": -9, "fontWeight": 700, "color": item.colour}
            encoding = {"x": x, "y": y, "text": {"value": item.letter}}
            layers.append({"data": {"values": [last]}, "mark": end, "encoding": encoding})
    if marks:
        ticks = [{"x": at, "colour": colour, "tip": f"slowed down at {at:g} s"} for at, colour in marks]
        encoding = {"x": x, "y": {"value": "height"}, "color": _PLAIN, "description": {"field": "tip"}}
        mark = {"type": "point", "shape": "triangle-up", "filled": True, "size": 60, "yOffset": -6}
        layers.append({"data": {"values": ticks}, "mark": mark, "encoding": encoding})
    return {"layer": layers}


def _plain_axis(title: str, items: Sequence[Line], whole: bool) -> dict[str, Any]:
    """An axis without lines across the chart; where it is `whole`, with a label at every point, or at some."""
    axis: dict[str, Any] = {"title": title, "grid": False, "format": ",~r"}
    if whole:
        places = sorted({at for item in items for at, _ in item.points})
        axis["values"] = places[:: -(-len(places) // 12)]
    return {"axis": axis}


def raster(events: Sequence[tuple[int, int]], neurons: int, ticks: int, colour: str) -> dict[str, Any]:
    """A short stroke for each spike: ticks to the right, neurons upwards."""
    data: list[dict[str, Any]] = []
    for tick, neuron in events:
        data += ({"x": tick, "y": neuron + 0.1}, {"x": tick, "y": neuron + 0.9}, {"x": tick, "y": None})
    x = {"field": "x", "type": "quantitative", "scale": {"domain": [0, ticks], "nice": False}}
    y = {"field": "y", "type": "quantitative", "scale": {"domain": [0, neurons], "nice": False}}
    x |= {"axis": {"title": "tick", "grid": False}}
    y |= {"axis": {"title": "neuron", "grid": False, "tickCount": 4, "tickMinStep": 1}}
    thick = 2 if ticks <= 150 else 1.5
    mark = {"type": "line", "strokeWidth": thick, "color": colour, "interpolate": "linear"}
    return {"data": {"values": data}, "mark": mark, "encoding": {"x": x, "y": y, "order": {"value": 0}}}
