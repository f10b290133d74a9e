"""Pictures of the results: SVG files that are the same for the same figures."""

from __future__ import annotations

import io
import re
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

matplotlib.use("svg")

COLOURS = tuple(matplotlib.colormaps["tab20"].colors)  # type: ignore[attr-defined]


COLUMNS = 3


def figure(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty picture of so many inches."""
    picture = Figure(figsize=(width, height), layout="constrained")
    return picture, _tidy(picture.add_subplot())


def grid(panels: int) -> tuple[Figure, list[Axes]]:
    """An empty picture of so many panels, up to `COLUMNS` beside each other."""
    columns = max(1, min(panels, COLUMNS))
    rows = -(-panels // columns) or 1
    picture = Figure(figsize=(4.2 * columns, 3.2 * rows), layout="constrained")
    return picture, [_tidy(picture.add_subplot(rows, columns, index + 1)) for index in range(panels)]


def stack(panels: int) -> tuple[Figure, list[Axes]]:
    """An empty picture of so many low panels above each other."""
    picture = Figure(figsize=(6.4, 1.1 * panels + 0.3), layout="constrained")
    return picture, [_tidy(picture.add_subplot(panels, 1, index + 1)) for index in range(panels)]


def _tidy(axes: Axes) -> Axes:
    """Faint grid lines behind what is drawn, no frame."""
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return axes


def save(picture: Figure, path: Path) -> None:
    """Write the picture, points to two decimals; without a date, and with identifiers that do not change."""
    drawn = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "astroedge", "svg.fonttype": "none"}):
        picture.savefig(drawn, format="svg", metadata={"Date": None})
    text = re.sub(r"(\.\d\d)\d+", r"\1", drawn.getvalue())
    path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n", encoding="utf-8")
