"""`astroedge doctor`: what of AstroEdge works on this machine."""

from __future__ import annotations

import click


@click.command("doctor")
def doctor_command() -> None:
    """Look at what is installed, with a cure for each gap."""
    from astroedge.cli.shared.display import print_line, print_table
    from astroedge.workflows.doctor import BROKEN, MISSING, examine

    findings = examine()
    print_table(
        ("", "state", "version", "needed for", "what to do"),
        [(item.name, item.state, item.version, item.purpose, item.cure) for item in findings],
    )
    gaps = [item.name for item in findings if item.state in (MISSING, BROKEN)]
    print_line(f"Not working: {', '.join(gaps)}." if gaps else "Everything is there.")
