"""`astroedge targets`: the boards there are, one in full, and what this machine is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from astroedge.cli.shared.options import GPU_TARGETS


@click.group("targets")
def targets_command() -> None:
    """List the boards, show one, or detect this machine."""


@targets_command.command("list")
def list_command() -> None:
    """List the targets that come with AstroEdge."""
    from astroedge.cli.shared.display import print_table
    from astroedge.workflows.describe_targets import summarise_targets

    rows = [
        (
            item.target.name,
            item.target.cpu,
            "yes, it is this one" if item.is_this_board else "yes" if item.runs_here else "no",
            item.target.description,
        )
        for item in summarise_targets()
    ]
    print_table(("target", "processor", "runs here", "description"), rows)
    click.echo(
        f"Also: native (this very machine), {GPU_TARGETS} and the like, or the path of a board file of your own "
        "(targets show prints one)."
    )


@targets_command.command("show")
@click.argument("name")
def show_command(name: str) -> None:
    """Show target NAME as a board file."""
    from astroedge.workflows.describe_targets import describe_target

    click.echo("\n".join(_toml(describe_target(name).items())))


@targets_command.command("detect")
def detect_command() -> None:
    """Say which target fits this machine."""
    from astroedge.workflows.describe_targets import board_to_begin_with, detect_gpus, detect_machine

    board, native = detect_machine()
    click.echo(f"This machine: {native.description.partition(': ')[2]}, {native.cores} cores, {native.arch}.")
    click.echo(f"Best shipped target: {board.name}, {board.description}.")
    near = board_to_begin_with()
    if near is not None:
        click.echo(
            f"No board file is for this machine. To write one: astroedge targets show {near.name} > my-board.toml, "
            "change what differs (name, caches, cores), and compile with --target ./my-board.toml."
        )
    click.echo(f"native compiles for {native.cpu} with {', '.join(native.features) or 'no flags'}.")
    for number, gpu in enumerate(detect_gpus()):
        click.echo(f"GPU {number}: {gpu.text()}. {_use(number, gpu.lack)}.")


def _use(number: int, lack: str) -> str:
    """What a GPU is to AstroEdge; `lack` is why no bundle runs on it."""
    if lack:
        return f"No bundle runs on it: {lack}"
    return f"Its target: {GPU_TARGETS.split()[0]}" if number == 0 else f"Bundles for it run with --device {number}"


def _toml(fields: Iterable[tuple[str, Any]]) -> Iterable[str]:
    """Texts, integers and lists of texts as lines of TOML."""
    for key, value in fields:
        if isinstance(value, tuple):
            yield f"{key} = [{', '.join(map(_quote, value))}]"
        else:
            yield f"{key} = {value if isinstance(value, int) else _quote(value)}"


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
