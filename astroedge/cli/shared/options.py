"""Options that several commands have."""

from __future__ import annotations

import click

GPU_TARGETS = "cuda (this machine's GPU), cuda:sm_87"
"""Targets that are in no list, as a user writes them."""

threads_option = click.option(
    "--threads",
    metavar="N",
    type=click.IntRange(min=1),
    help="Threads that compute a tick; without it 1, or for a large step as many as it is worth. Never changes a bit.",
)

device_option = click.option(
    "--device",
    metavar="N",
    type=click.IntRange(min=0, max=2**31 - 1),
    help="Which GPU computes a bundle that was compiled for one; without it the first.",
)
