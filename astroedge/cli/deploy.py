"""`astroedge deploy`: a network put onto boards for good."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from astroedge.cli.shared.options import board_option
from astroedge.cli.shared.verbosity import verbosity_options

if TYPE_CHECKING:
    from astroedge.workflows.devices.address import Devices


@click.command("deploy")
@click.argument("net", type=click.Path(path_type=Path))
@board_option
@click.option("--to", metavar="PATH", help="Where on the board, from the home folder on; by default NET's name there.")
@click.option("--executable", is_flag=True, help="The executable, where the board's Python could run the bundle too.")
@verbosity_options
def deploy_command(net: Path, devices: Devices, to: str | None, executable: bool) -> None:
    """Put NET, a step graph or a bundle, onto boards.

    A step graph is compiled for each kind of board. What is put there replays its golden trace first, and replaces what
    was there in one move; only files that the board does not have yet are sent.

    \b
    astroedge deploy net.onnx --device ssh://pi@raspberrypi.local
    astroedge deploy net.onnx --device pi --device jetson --to models/net.astro
    """
    from astroedge.cli.shared.display import print_line, print_table, size
    from astroedge.cli.shared.show_boards import reporting, show_failures
    from astroedge.workflows.deploy import deploy

    if not devices.boards:
        raise click.UsageError("--device takes a board here, such as ssh://pi@raspberrypi.local.")
    with reporting(devices.boards) as say:
        found = deploy(net, devices.boards, to=to, executable=executable, say=say)
    show_failures(found)
    rows = [
        (
            item.address.text,
            item.board.name,
            item.board.target.name,
            item.result.by,
            size(item.result.size),
            item.result.path,
        )
        for item in found.done
    ]
    print_table(("device", "board", "target", "for", "size", "path"), rows)
    for note in found.notes:
        print_line(note)
    for item in found.done:
        print_line(f"To run it on {item.address.text}: {item.result.line}")
    found.raise_failures()
