"""`astroedge zoo`: the trained networks that are installed, and one in full."""

from __future__ import annotations

import click


def _complete_name(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The networks that begin with what was typed, for the shell's completion."""
    from astroedge.errors import AstroEdgeError
    from astroedge.zoo_record import list_records

    try:
        return [record.name for record in list_records() if record.name.startswith(incomplete)]
    except AstroEdgeError:
        return []


@click.command("zoo")
@click.argument("name", required=False, shell_complete=_complete_name)
@click.option("--json", "json_path", metavar="FILE", help="Write the records as JSON instead; - for standard output.")
def zoo_command(name: str | None, json_path: str | None) -> None:
    """List the trained networks, or show NAME in full.

    They come in a package of their own, astroedge-zoo. What is listed was measured when they were trained: results on
    held-out data, of several seeds and of the weights that ship in each precision; firing rates; the time of a tick.
    """
    from astroedge.cli.shared.display import write_json
    from astroedge.zoo_record import find_record, list_records, listing

    records = [find_record(name)] if name is not None else list_records()
    if json_path is not None:
        write_json(listing(records), json_path)
        return
    from astroedge.cli.shared.show_zoo import show_network, show_zoo

    show_network(records[0]) if name is not None else show_zoo(records)
