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
from astroedge.units import duration as duration
from astroedge.units import joules as joules
from astroedge.units import percent as percent
from astroedge.units import size as size

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


def shape(extents: Sequence[int]) -> str:
    """A shape such as 1 × 192; "scalar" without axes."""
    return " × ".join(map(str, extents)) or "scalar"


def number(value: float) -> str:
    """A number of any size with six significant digits: 0.25, 1,234,570, 3.4e+38 only where that is shorter."""
    return f"{value:,.0f}" if 1e5 <= abs(value) < 1e15 else f"{value:g}"
