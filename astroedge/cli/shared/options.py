"""Options that several commands have."""

from __future__ import annotations

import click

threads_option = click.option(
    "--threads",
    metavar="N",
    type=click.IntRange(min=1),
    help="Threads that compute a tick; without it 1, or for a large step as many as it is worth. Never changes a bit.",
)
