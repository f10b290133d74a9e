"""Options of `astroedge profile` that say how long and in which way is measured, gathered in one value."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

OPTIONS = (
    click.option("--steps", metavar="N", type=click.IntRange(min=1), help="Steps to time, in place of a duration."),
    click.option("--duration", metavar="SECONDS", type=float, help="How long steps are timed; 2 s by default."),
    click.option(
        "--repeat", metavar="N", type=click.IntRange(min=1), default=1, help="Do it N times and show the spread."
    ),
    click.option("--rate", metavar="HZ", type=float, help="Also at so many ticks a second, asleep in between."),
    click.option("--energy", is_flag=True, help="Also measure the energy of a step: 10 s of steps, 6 s of rest."),
    click.option(
        "--meter", metavar="FILE", help="Energy from a meter: CSV time,watts or time,volts,amps; or serial:/dev/tty…"
    ),
    click.option("--samples", "keep_samples", is_flag=True, help="Keep every step's time in the files."),
)
GATHERED = ("steps", "duration", "repeat", "rate", "energy", "meter", "keep_samples")


def measuring_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options, handed to a command as its argument `wanted`, a `Measuring`."""

    @wraps(command)
    def gather(**arguments: Any) -> Any:
        from astroedge.measuring import Measuring

        wanted = Measuring(**{name: arguments.pop(name) for name in GATHERED})
        return command(wanted=wanted, **arguments)

    decorated: Callable[..., Any] = gather
    for option in reversed(OPTIONS):
        decorated = option(decorated)
    return decorated
