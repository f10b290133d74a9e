"""`astroedge report`: profiles as a page."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("profiles", metavar="PROFILE.json...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", metavar="FILE.html", required=True, type=click.Path(path_type=Path), help="The page to write."
)
def report_command(profiles: tuple[Path, ...], output: Path) -> None:
    """Write profiles as a page to look at, beside each other.

    Each is a file that `astroedge profile --json` wrote, on whatever machine. The page is a single file that holds all
    it shows and loads nothing: charts with their tables, in light and dark, for a phone as well.
    """
    from astroedge.cli.shared.display import print_line, size
    from astroedge.replace_file import replace_file
    from astroedge.workflows.pages.report import report_files

    page = report_files(profiles)
    replace_file(output, page)
    print_line(f"Wrote {output}: {len(profiles)} profile{'s' * (len(profiles) != 1)}, {size(len(page))}.")
