"""Options of commands that time the kernels of a step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def kernel_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `kernels` (a flag) and `trace_path` to a command."""
    trace = click.option(
        "--trace",
        "trace_path",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Write some ticks kernel by kernel as a trace for ui.perfetto.dev; implies --kernels.",
    )
    kernels = click.option(
        "--kernels",
        is_flag=True,
        help="Time every kernel of the step, too, in an instrumented run by one thread.",
    )
    return kernels(trace(command))
