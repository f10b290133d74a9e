"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from astroedge.errors import DeviceError
from astroedge.workflows.devices.address import Devices, read_devices

F = TypeVar("F", bound=Callable[..., Any])

GPU_TARGETS = "cuda (this machine's GPU), cuda:sm_87"
"""Targets that are in no list, as a user writes them."""

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
