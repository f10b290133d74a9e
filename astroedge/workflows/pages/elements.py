"""What a page is made of: sections with figures and tables, each chart with the table that says the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from astroedge.workflows.pages.vega import NARROW, WIDE, draw

Spec = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """Rows under headers; the first cell of a row names it. `caption` is what a screen reader announces."""

    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Which columns hold numbers, which stand to the right."""
        return tuple(
            index > 0 and all(row[index][:1].isdigit() or row[index] in ("", "–") for row in self.rows)
            for index in range(len(self.headers))
        )


@dataclass(frozen=True)
class Figure:
    """A chart as SVG in both widths, its title, a sentence that says what it shows, and its table."""

    name: str
    title: str
    text: str
    wide: str
    narrow: str
    table: Table

    @staticmethod
    def drawn(
        name: str, title: str, text: str, chart: Callable[[int], Spec], table: Table, *, height: int = 240
    ) -> Figure:
        """Draw a chart; `chart` gives its Vega-Lite for a width, `name` is unique in the page."""
        wide, narrow = (
            draw(chart(width), width, height, f"{name}-{side}") for side, width in (("wide", WIDE), ("narrow", NARROW))
        )
        return Figure(name, title, text, wide, narrow, table)


@dataclass(frozen=True)
class Section:
    """A part of a page with a heading; `notes` are sentences, `tables` those that belong to no chart."""

    name: str
    title: str
    notes: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True)
class Missing:
    """A part that a page does not have, and how to get it: a sentence and a command, which may be empty."""

    title: str
    how: str
    command: str = ""


@dataclass
class Parts:
    """What the sections of a page come to."""

    sections: list[Section] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)

    def add(self, part: Section | Missing | None) -> None:
        """Put a section into the page or say how it is had."""
        if isinstance(part, Section):
            self.sections.append(part)
        elif part is not None:
            self.missing.append(part)
