"""How much a command says: `--quiet` keeps to data and errors, `--verbose` adds times and an error's traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., object])
_KEY = "astroedge.verbosity"
QUIET, VERBOSE = "quiet", "verbose"


def verbosity_options(command: _Command) -> _Command:
    """Give a command `--quiet` and `--verbose`."""
    quiet = click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_remember(QUIET),
        help="Print errors and what was asked for, nothing else.",
    )
    verbose = click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_remember(VERBOSE),
        help="Say more: the time of each stage and, of an error, where it was raised.",
    )
    return quiet(verbose(command))


def is_quiet() -> bool:
    """Whether the command that runs was asked to be quiet."""
    return _asked(QUIET)


def is_verbose() -> bool:
    """Whether the command that runs was asked to say more."""
    return _asked(VERBOSE)


def _remember(word: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def callback(context: click.Context, parameter: click.Parameter, value: bool) -> None:
        if not value:
            return
        if context.meta.setdefault(_KEY, word) != word:
            raise click.UsageError("--quiet and --verbose exclude each other.")

    return callback


def _asked(word: str) -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and context.meta.get(_KEY) == word
