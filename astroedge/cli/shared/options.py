"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from astroedge.cli.shared.verbosity import is_quiet
from astroedge.errors import DeviceError
from astroedge.workflows.devices.address import Devices, read_devices

if TYPE_CHECKING:
    from astroedge.workflows.inputs.fit_arrays import Fit

F = TypeVar("F", bound=Callable[..., Any])

GPU_TARGETS = "cuda (this machine's GPU), cuda:sm_87"
"""Targets that are in no list, as a user writes them."""


def complete_target(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The targets that begin with what was typed, for the shell's completion."""
    from astroedge.workflows.describe_targets import target_names

    return [name for name in ("native", "cuda", *target_names()) if name.startswith(incomplete)]


threads_option = click.option(
    "--threads",
    metavar="N",
    type=click.IntRange(min=1),
    help="Threads that compute a tick; without it 1, or for a large step as many as it is worth. Never changes a bit.",
)


def _devices(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> Devices:
    """The callback of --device: what it names, or a usage error."""
    try:
        return read_devices(values)
    except DeviceError as error:
        raise click.BadParameter(str(error)) from error


def _device_option(**more: Any) -> Callable[[F], F]:
    return click.option("--device", "devices", metavar="WHERE", multiple=True, callback=_devices, **more)


device_option = _device_option(
    help="ssh://user@board or a Host of ~/.ssh/config: work there (repeatable); a number: which GPU of this machine.",
)
board_option = _device_option(required=True, help="ssh://user@board or a Host of ~/.ssh/config; repeatable.")

install_option = click.option(
    "--install", is_flag=True, help="With --device: send NumPy along to boards whose Python has none; nothing stays."
)

cast_option = click.option(
    "--cast",
    is_flag=True,
    help="Convert arrays of another dtype where the step's holds their numbers; what is converted is said.",
)


def refuse_overwriting(output: Path, sources: Iterable[Path]) -> None:
    """A usage error where a file that is to be written is one that is read."""
    for source in sources:
        if output.exists() and source.exists() and output.samefile(source):
            raise click.UsageError(f"{output} is what is read; say with --output where the page goes.")


def fit_of(cast: bool, rate: float | None = None, is_said: bool = True) -> Fit:
    """How arrays of files are made to fit, with what was changed said on standard error."""
    from astroedge.workflows.inputs.fit_arrays import Fit

    return Fit(cast, lambda text: None if is_quiet() or not is_said else click.echo(f"Note: {text}", err=True), rate)
