"""Work on boards for people: what happens on each while it happens, and one table at the end."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from astroedge.errors import printable
from astroedge.workflows.devices.address import Address

if TYPE_CHECKING:
    from astroedge.workflows.profile_on_boards import BoardProfile, BoardProfiles

Say = Callable[[Address, str], None]


@contextmanager
def reporting(addresses: Sequence[Address]) -> Iterator[Say]:
    """What to call with a board and what happens there: a line each on a terminal, else a line a time."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        yield lambda address, line: click.echo(f"… {address.text}: {printable(line)}", err=True)
        return
    columns = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.fields[device]}", markup=False),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        tasks = {address: progress.add_task("waiting", total=1, device=address.text) for address in addresses}

        def say(address: Address, line: str) -> None:
            is_over = line in ("done", "failed")
            progress.update(tasks[address], description=printable(line), completed=int(is_over))

        yield say


def measure_boards(net: Path, addresses: Sequence[Address], **asked: Any) -> BoardProfiles:
    """Profiles of a network on boards, with what happens there on standard error; errors of single boards as well."""
    from astroedge.workflows.profile_on_boards import profile_on_boards

    with reporting(addresses) as say:
        found = profile_on_boards(net, addresses, say=say, **asked)
    show_failures(found.failures, len(addresses))
    return found


def show_failures(failures: Any, asked: int) -> None:
    """Each board's error as a line on standard error, but for a single board's, which ends the command."""
    if asked > 1:
        for address, error in failures.items():
            click.echo(f"… {address.text} failed: {printable(str(error))}", err=True)


def show_boards(found: BoardProfiles) -> None:
    """One table of all boards; times are of a step."""
    from astroedge.cli.shared.display import print_line, print_table

    headers = ("device", "board", "target", "by", "verified", "median", "p99", "native", "memory", "temperature")
    print_table(headers, map(_row, found.rows), "One step on each board")
    for note in found.notes:
        print_line(note)


def write_board_files(found: BoardProfiles, json_path: str | None, csv_path: Path | None) -> None:
    """Profiles as a list in JSON, and every number of all as CSV with a column of devices and one of who measured."""
    from astroedge.cli.shared.display import STANDARD_OUTPUT, json_text
    from astroedge.replace_file import replace_files

    files: dict[str | PathLike[str], bytes] = {}
    text = json_text([row.profile.to_json() for row in found.rows])
    if csv_path is not None:
        files[csv_path] = _csv(found.rows).encode()
    if json_path not in (None, STANDARD_OUTPUT):
        files[json_path] = text.encode()
    replace_files(files)
    if json_path == STANDARD_OUTPUT:
        click.echo(text, nl=False)


def _row(row: BoardProfile) -> tuple[str, ...]:
    from astroedge.cli.shared.display import duration, size

    profile = row.profile
    readings = {item.name: item.value for item in profile.readings if item.value is not None}
    heat = [value for name, value in readings.items() if name.startswith("temperature")]
    throughput, memory = readings.get("throughput"), readings.get("peak memory")
    return (
        row.address.text,
        row.board.name,
        profile.target,
        profile.by,
        "yes" if row.verified.ok else "DIFFERS",
        duration(profile.step.p50),
        duration(profile.step.p99),
        duration(1e9 / throughput) if throughput else "–",
        size(int(memory)) if memory else "–",
        f"{max(heat):.0f} °C" if heat else "–",
    )


def _csv(rows: Sequence[BoardProfile]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for index, row in enumerate(rows):
        lines = list(csv.reader(io.StringIO(row.profile.to_csv())))
        if index == 0:
            writer.writerow(("device", "by", *lines[0]))
        writer.writerows((row.address.text, row.profile.by, *line) for line in lines[1:])
    return text.getvalue()
