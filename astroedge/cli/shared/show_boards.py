"""Work on boards for people: what happens on each while it happens, and one table at the end."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from astroedge.cli.shared.verbosity import is_quiet
from astroedge.errors import VerificationError, printable
from astroedge.workflows.devices.address import Address

if TYPE_CHECKING:
    from astroedge.step_profile import Profile
    from astroedge.workflows.board_work import Proof
    from astroedge.workflows.on_boards import OnBoard, Outcomes
    from astroedge.workflows.profile_on_boards import Measured

    Profiles = Outcomes[tuple[Measured, ...]]

Say = Callable[[Address, str], None]


@contextmanager
def reporting(addresses: Sequence[Address]) -> Iterator[Say]:
    """What to call with a board and what happens there: a line each on a terminal, else a line a time."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    if is_quiet():
        yield lambda address, line: None
        return
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


def show_failures(found: Outcomes[Any]) -> None:
    """Each failed board's error as a line on standard error; that of a single board ends the command instead."""
    if len(found.done) + len(found.failures) > 1:
        for address, error in found.failures.items():
            click.echo(f"… {address.text} failed: {printable(str(error))}", err=True)


def show_profiles(found: Profiles) -> None:
    """One table of all boards; times are of a step."""
    from astroedge.cli.shared.display import print_line, print_table

    headers = ("device", "board", "target", "by", "verified", "median", "p99", "native", "memory", "temperature")
    rows = [_row(item, measured) for item in found.done for measured in item.result]
    print_table(headers, rows, "One step on each board")
    for note in found.notes:
        print_line(note)


def show_kernels_of(found: Profiles) -> None:
    """The kernels on each board that timed them."""
    from astroedge.cli.shared.display import print_line
    from astroedge.cli.shared.show_kernels import show_kernels

    for item in found.done:
        for measured in item.result:
            if measured.profile.kernels is not None:
                print_line(f"{item.address.text} ({item.board.name}):")
                show_kernels(measured.profile.kernels)


@dataclass(frozen=True)
class ProfileFiles:
    """Where profiles of boards are written: standard output ("-", JSON alone) or files; None for nowhere."""

    json: str | None = None
    csv: Path | None = None
    html: Path | None = None
    trace: Path | None = None


def write_profiles(found: Profiles, paths: ProfileFiles) -> None:
    """A list in JSON, CSV with a column of devices and one of who measured, a page, and one trace of all boards."""
    from astroedge.cli.shared.display import STANDARD_OUTPUT, json_text
    from astroedge.replace_file import replace_files

    profiles = [measured.profile for item in found.done for measured in item.result]
    files: dict[str | PathLike[str], bytes] = {}
    text = json_text([profile.to_json() for profile in profiles])
    if paths.csv is not None:
        files[paths.csv] = _csv(profiles).encode()
    if paths.json is not None and paths.json != STANDARD_OUTPUT:
        files[paths.json] = text.encode()
    if paths.html is not None and profiles:
        from astroedge.workflows.pages.report import report_profiles

        files[paths.html] = report_profiles([profile.to_json() for profile in profiles])
    if paths.trace is not None and profiles:
        from astroedge.trace_events import trace_events

        traced = [profile for profile in profiles if profile.kernels is not None]
        files[paths.trace] = json.dumps(trace_events(*traced), allow_nan=False).encode()
    replace_files(files)
    if paths.json == STANDARD_OUTPUT:
        click.echo(text, nl=False)


def show_proofs(found: Outcomes[tuple[Proof, ...]]) -> None:
    """What the golden trace came to on each board."""
    from astroedge.cli.shared.display import print_line, print_table

    rows = [
        (
            item.address.text,
            item.board.name,
            item.build.bundle.manifest.target.name,
            proof.by,
            _verdict(proof),
            proof.text,
        )
        for item in found.done
        for proof in item.result
    ]
    print_table(("device", "board", "target", "by", "verified", ""), rows)
    for note in found.notes:
        print_line(note)


def raise_unproven(found: Outcomes[tuple[Proof, ...]]) -> None:
    """Raise VerificationError where a board computes other bits; each was shown."""
    wrong = [
        f"{item.address.text} ({proof.by}): {proof.text}"
        for item in found.done
        for proof in item.result
        if not proof.ok
    ]
    if wrong:
        raise VerificationError("; ".join(wrong))


def _verdict(proof: Proof) -> str:
    return "yes" if proof.ok else "DIFFERS"


def _row(item: OnBoard[Any], measured: Measured) -> tuple[str, ...]:
    from astroedge.cli.shared.display import duration, size

    profile = measured.profile
    readings = {item.name: item.value for item in profile.readings if item.value is not None}
    heat = [value for name, value in readings.items() if name.startswith("temperature")]
    throughput, memory = readings.get("throughput"), readings.get("peak memory")
    native = profile.native.p50 if profile.native is not None else 1e9 / throughput if throughput else None
    return (
        item.address.text,
        item.board.name,
        profile.target,
        profile.by,
        _verdict(measured.proof),
        duration(profile.step.p50),
        duration(profile.step.p99),
        duration(native) if native is not None else "–",
        size(int(memory)) if memory else "–",
        f"{max(heat):.0f} °C" if heat else "–",
    )


def _csv(profiles: Sequence[Profile]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for index, profile in enumerate(profiles):
        header, *lines = csv.reader(io.StringIO(profile.to_csv()))
        if index == 0:
            writer.writerow(("device", "by", *header))
        writer.writerows((profile.machine["device"], profile.by, *line) for line in lines)
    return text.getvalue()
