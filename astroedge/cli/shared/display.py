"""Tables and numbers for people, through rich."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from astroedge.cli.shared.verbosity import is_quiet
from astroedge.errors import printable
from astroedge.replace_file import replace_file

PIPED_WIDTH = 120  # where there is no terminal to ask
STANDARD_OUTPUT = "-"
STYLES = {
    "ok": "green",
    "equal": "green",
    "untested": "yellow",
    "missing": "red",
    "broken": "red",
    "failed": "red",
    "DIFFERS": "red",
}
"""Colour, where the terminal has it and NO_COLOR is not set, for cells that say how something stands; no other has."""


@cache
def console() -> Console:
    """Standard output; nothing in a text is taken for markup, an emoji or something to highlight."""
    plain = Console(markup=False, emoji=False, highlight=False)
    return plain if plain.is_terminal else Console(markup=False, emoji=False, highlight=False, width=PIPED_WIDTH)


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """Print rows under a title and their headers, columns of numbers to the right; nothing when there are no rows."""
    lines = [[printable(str(cell)) for cell in row] for row in rows]
    if not lines or is_quiet():
        return
    if title:
        console().print(Text(printable(title), style="bold"))
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for index, header in enumerate(headers):
        numbers = all(line[index][:1].isdigit() or line[index] in ("", "–") for line in lines)
        table.add_column(header, justify="right" if numbers else "left", overflow="fold")
    for line in lines:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in line))
    console().print(table)
    console().print()


def print_line(text: str) -> None:
    """Print a text as it is, without breaking its lines."""
    if is_quiet():
        return
    console().print("\n".join(map(printable, text.split("\n"))), soft_wrap=True)


def write_json(record: Any, destination: str) -> None:
    """Write a record as JSON to a file, or to standard output for "-"."""
    text = json_text(record)
    if destination == STANDARD_OUTPUT:
        click.echo(text, nl=False)
    else:
        replace_file(Path(destination), text.encode())


def json_text(record: Any) -> str:
    """A record as JSON for people and programs."""
    return json.dumps(record, indent=2, allow_nan=False) + "\n"


def size(count: int) -> str:
    """Bytes for people: 512 B, 4.2 kB, 1.7 MB; powers of 1000."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 99.95 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


def shape(extents: Sequence[int]) -> str:
    """A shape such as 1 × 192; "scalar" without axes."""
    return " × ".join(map(str, extents)) or "scalar"


def percent(fraction: float) -> str:
    """A fraction as a percentage with two significant digits below 10 %."""
    return f"{100 * fraction:.2g} %" if fraction < 0.0995 else f"{100 * fraction:.0f} %"


def joules(energy: float) -> str:
    """An energy with its fitting unit: 1.20 µJ, 350 nJ."""
    for factor, unit in ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ")):
        if abs(energy) >= 0.9995 * factor:
            return f"{energy / factor:.3g} {unit}"
    return f"{energy / 1e-9:.3g} nJ"


def number(value: float) -> str:
    """A number of any size with six significant digits: 0.25, 1,234,570, 3.4e+38 only where that is shorter."""
    return f"{value:,.0f}" if 1e5 <= abs(value) < 1e15 else f"{value:g}"


def duration(nanoseconds: float) -> str:
    """A time with its fitting unit: 350 ns, 12.3 µs, 1.20 ms."""
    value = nanoseconds
    for unit in ("ns", "µs", "ms", "s"):
        if value < 999.5 or unit == "s":
            return f"{value:.3g} {unit}"
        value /= 1000
    raise AssertionError
