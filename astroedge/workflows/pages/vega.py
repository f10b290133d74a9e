"""Charts drawn by Vega-Lite while the page is written, as SVG that takes its colours from the page.

Nothing of Vega is in a page: what it draws is cleaned to plain shapes and texts whose colours are CSS variables, so
that it is small, follows the theme and can neither run nor load anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any
from xml.etree import ElementTree

from astroedge.errors import AstroEdgeError
from astroedge.host_package import require

VERSION = "6.4"  # of Vega-Lite
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
WIDE, NARROW = 660, 348  # the two widths in which every chart is drawn, in CSS pixels

# Every colour a chart may use is a variable of the page (assets/style.css).
CONFIG: Mapping[str, Any] = {
    "background": None,
    "padding": 2,
    "view": {"stroke": None},
    "axis": {
        **{"labelColor": "var(--muted)", "titleColor": "var(--muted)", "gridColor": "var(--grid)"},
        **{"domainColor": "var(--line)", "tickColor": "var(--line)", "labelFontSize": 12, "titleFontSize": 12},
        **{"titleFontWeight": "normal", "titlePadding": 8, "labelPadding": 4, "tickSize": 4, "labelOverlap": "greedy"},
    },
    "text": {"color": "var(--ink)", "fontSize": 12},
    "rule": {"color": "var(--line)"},
}

_KEPT = {
    "svg": ("viewBox", "width", "height"),
    "g": ("transform", "clip-path"),
    "path": ("d", "transform", "fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "fill-opacity"),
    "rect": ("x", "y", "width", "height", "transform", "fill", "stroke", "stroke-width", "opacity"),
    "line": ("x1", "x2", "y1", "y2", "transform", "stroke", "stroke-width", "stroke-dasharray", "opacity"),
    "text": ("text-anchor", "transform", "font-size", "font-weight", "fill", "opacity"),
    "tspan": ("x", "y", "dx", "dy"),
    "defs": (),
    "clipPath": ("id",),
}
_DEFAULTS = {"opacity": "1", "stroke-width": "1", "fill-opacity": "1"}
_NUMBER = re.compile(r"-?\d*\.\d{2,}(?:e-?\d+)?")
_STROKE = re.compile(r"M([\d.]+),([\d.]+)L\1,([\d.]+)")  # an upright one
_PAINT = re.compile(r"none|transparent|var\(--[a-z0-9-]+\)")


def draw(spec: Mapping[str, Any], width: int, height: int, prefix: str) -> str:
    """The chart as an SVG element `width` CSS pixels wide; `prefix` sets its ids apart from those of other charts.

    Marks whose encoding has a `description` carry it as `data-tip`. Raises MissingDependencyError without vl-convert.
    """
    vl_convert = require("vl_convert", "drawing the charts of a page")
    whole = {"$schema": SCHEMA, "width": width, "height": height, **spec, "config": CONFIG}
    whole["autosize"] = {"type": "fit", "contains": "padding"}
    try:
        text = vl_convert.vegalite_to_svg(whole, vl_version=VERSION, allowed_base_urls=[])
    except ValueError as error:
        raise AstroEdgeError(f"Vega-Lite could not draw a chart: {str(error).strip().splitlines()[0]}") from error
    return clean_svg(text, prefix)


def clean_svg(text: str, prefix: str) -> str:
    """Shapes and texts alone, coordinates to a tenth of a pixel, ids of the page's own with a prefix.

    (Vega numbers what it clips by from the first chart of a process on.) Raises ValueError for an element or a paint
    that no chart of a page has.
    """
    root = ElementTree.fromstring(text)
    found = [node.attrib["id"] for node in root.iter() if "id" in node.attrib]
    return _element(root, {name: f"{prefix}-{number}" for number, name in enumerate(found)}, is_root=True)


def _element(node: ElementTree.Element, ids: Mapping[str, str], *, is_root: bool = False) -> str:
    """One element with what lies in it; nothing for one that shows nothing."""
    name = node.tag.rpartition("}")[2]
    if name not in _KEPT:
        raise ValueError(f"a chart has an element {name!r}")
    if node.get("display") == "none" or (name == "path" and _is_blank(node)):
        return ""
    inner = "".join(_element(child, ids) for child in node)
    words = escape(node.text or "", quote=False) if name in ("text", "tspan") else ""
    if not inner and not words and name in ("g", "text", "defs"):
        return ""
    attributes = _attributes(node, name, ids)
    if is_root:
        attributes += ' aria-hidden="true" focusable="false"'
    if name == "g" and not attributes:
        return inner
    return f"<{name}{attributes}>{words}{inner}</{name}>" if words or inner else f"<{name}{attributes}/>"


def _is_blank(node: ElementTree.Element) -> bool:
    """Whether a path has no extent or no paint; Vega draws one behind and one before every group."""
    d = node.get("d", "")
    painted = {node.get("fill", "none"), node.get("stroke", "none")} - {"none", "transparent"}
    return not d or d == "M0,0h0v0h0Z" or (not painted and "class" in node.attrib)


def _attributes(node: ElementTree.Element, name: str, ids: Mapping[str, str]) -> str:
    kept: list[tuple[str, str]] = []
    for key in _KEPT[name]:
        value = node.get(key)
        if value is None or _DEFAULTS.get(key) == value or (key == "transform" and value == "translate(0,0)"):
            continue
        if key in ("fill", "stroke") and not _PAINT.fullmatch(value):
            raise ValueError(f"a chart is painted {value!r}, which is no colour of the page")
        if key == "id":
            value = ids[value]
        elif key == "clip-path":
            value = f"url(#{ids[value.removeprefix('url(#').removesuffix(')')]})"
        elif key != "font-weight":
            value = _STROKE.sub(r"M\1,\2V\3", _NUMBER.sub(_shorter, value))
        kept.append((key, value))
    if name == "path" and node.get("fill") is None:
        kept.append(("fill", "none"))  # as on a group of Vega's around it
    is_filled = name == "rect" or node.get("fill") not in (None, "none", "transparent")
    if name in ("path", "rect") and is_filled and node.get("aria-label"):
        kept.append(("data-tip", node.attrib["aria-label"]))
    return "".join(f' {key}="{escape(value)}"' for key, value in kept)


def _shorter(number: re.Match[str]) -> str:
    return f"{round(float(number[0]), 1) + 0:g}"
