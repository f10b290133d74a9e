"""`astroedge run --source`: its options, and what it prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from astroedge.cli.shared.verbosity import is_quiet

if TYPE_CHECKING:
    from pathlib import Path

    from astroedge.session import Session

_Command = TypeVar("_Command", bound=Callable[..., object])


class _Rate(click.FloatRange):
    """A number of Hz; click lets a NaN through any range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; a usage error for anything that is no rate."""
        rate = super().convert(value, param, ctx)
        return rate if rate == rate else self.fail(f"{value} is no rate", param, ctx)


RATE = _Rate(min=1e-3, max=1e6)


@dataclass(frozen=True)
class LiveOptions:
    """What the options of live data say; `rate` is also that of recordings given with --input."""

    source: str | None
    rate: float | None
    decode: str | None
    window: int | None


def live_options(command: _Command) -> _Command:
    """Give a command the options of live data."""
    options = (
        click.option(
            "--source",
            "live_source",
            metavar="WHERE",
            help="Live data: stdin, serial:/dev/ttyUSB0[:BAUD], mic[:DEVICE], or events:FILE.",
        ),
        click.option(
            "--rate",
            metavar="HZ",
            type=RATE,
            help="Ticks a second: of --source, each at its due time, with the newest data; of a recording of events.",
        ),
        click.option(
            "--decode",
            type=click.Choice(["argmax", "rate", "first-spike"]),
            help="With --source: the class, by the highest score, its mean in a window, or the first to fire there.",
        ),
        click.option(
            "--window", metavar="T", type=click.IntRange(min=1), help="Ticks of a window; without it those of a second."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def run_source(session: Session, bundle: Path, options: LiveOptions) -> None:
    """Print what a step of a bundle makes of live data, until its end or Ctrl-C, and then how it kept its times."""
    from astroedge.bundle.container import Bundle
    from astroedge.workflows.live.decode import Decoder
    from astroedge.workflows.live.live_run import Lateness, run_live
    from astroedge.workflows.live.service import ended_in_order, service
    from astroedge.workflows.live.sources import open_source

    assert options.source is not None
    window = options.window or max(1, round(options.rate or 1))
    decoder = Decoder(options.decode, session.spec.outputs, window, Bundle.load(bundle).labels)
    found = Lateness()
    try:
        with (
            ended_in_order(),
            service() as told,
            open_source(options.source, session.spec.inputs, options.rate) as data,
        ):
            told.ready()
            for line in run_live(session, data, decoder, options.rate, found, told.alive):
                click.echo(line, nl=False)
    finally:
        if found.ticks and not is_quiet():
            click.echo(found.text(options.rate), err=True)
