"""`astroedge view`: a step as a picture."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("view")
@click.argument("path", metavar="GRAPH_OR_BUNDLE", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", metavar="FILE.html", required=True, type=click.Path(path_type=Path), help="The page to write."
)
@click.option(
    "--graph", metavar="GRAPH", type=click.Path(path_type=Path), help="The graph that a bundle was compiled from."
)
def view_command(path: Path, output: Path, graph: Path | None) -> None:
    """Draw a step graph or a bundle as a page to look at.

    States and spikes are marked, nodes grouped by module, and products show their size, how sparse their inputs are
    and, of a bundle, their kernel. The page is a single file that holds all it shows and loads nothing.
    """
    from astroedge.cli.shared.display import print_line, size
    from astroedge.replace_file import replace_file
    from astroedge.workflows.view_step import view_step

    page = view_step(path, graph)
    replace_file(output, page)
    print_line(f"Wrote {output}: {size(len(page))}.")
