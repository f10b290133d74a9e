"""`astroedge doctor`: what of AstroEdge works on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astroedge.workflows.doctor.findings import Finding

_TITLES = {
    "device": "For running bundles (device)",
    "host": "For exporting and compiling (host)",
    "extra": "For more, where it is wanted (extras)",
}


@click.command("doctor")
@click.option("--imports", is_flag=True, help="Import every package too, which takes seconds and finds broken ones.")
@click.option("--json", "json_path", metavar="FILE", help="Write the findings as JSON; - for standard output.")
def doctor_command(imports: bool, json_path: str | None) -> None:
    """Look at what is installed, with a cure for each gap."""
    from astroedge.cli.shared.display import STANDARD_OUTPUT, write_json
    from astroedge.cli.shared.progress import working
    from astroedge.workflows.doctor.examine import examine
    from astroedge.workflows.doctor.findings import to_json

    with working("Looking at this machine") as at:
        findings = examine(imports, at)
    if json_path is not None:
        write_json(to_json(findings), json_path)
    if json_path != STANDARD_OUTPUT:
        _show(findings, imports)


def _show(findings: Sequence[Finding], imports: bool) -> None:
    from astroedge.cli.shared.display import print_line, print_table

    for side, title in _TITLES.items():
        print_table(
            ("", "state", "version", "needed for"),
            [(item.name, item.state, item.version, item.purpose) for item in findings if item.side == side],
            title,
        )
    for item in findings:
        if item.cure:
            print_line(f"{item.name}: {item.cure}")
    gaps = [item.name for item in findings if item.is_gap]
    print_line(f"Not working: {', '.join(gaps)}." if gaps else "Everything is there.")
    if not imports:
        print_line("Packages were looked up, not imported; astroedge doctor --imports does that, in some seconds.")
