"""`astroedge run --prompt`: its options, and what it prints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import click

from astroedge.cli.shared.verbosity import is_quiet

if TYPE_CHECKING:
    from pathlib import Path

    from astroedge.session import Session
    from astroedge.workflows.devices.address import Address
    from astroedge.workflows.evaluation.generate_text import Codec, Sampling, Wanted

_Command = TypeVar("_Command", bound=Callable[..., object])

OPTIONS = {
    "prompt": "--prompt",
    "tokens": "--tokens",
    "stops": "--stop",
    "temperature": "--temperature",
    "top_k": "--top-k",
    "top_p": "--top-p",
    "min_p": "--min-p",
    "repetition_penalty": "--repetition-penalty",
    "seed": "--seed",
}
"""Options of text, by their names in Python."""


@dataclass(frozen=True)
class TextOptions:
    """What the options of text say."""

    prompt: str | None
    tokens: int
    stops: tuple[str, ...]
    sampling: Sampling


def text_options(command: _Command) -> _Command:
    """Give a command the options of text."""
    options = (
        click.option(
            "--prompt", metavar="TEXT", help="Language models: the text to continue; without it a new one begins."
        ),
        click.option(
            "--tokens",
            metavar="N",
            type=click.IntRange(min=0),
            default=256,
            show_default=True,
            help="Tokens to add at most: bytes, where the model has no tokenizer.",
        ),
        click.option("--stop", "stops", metavar="TEXT", multiple=True, help="End before this text; repeatable."),
        click.option("--temperature", type=float, default=0.8, show_default=True, help="0 takes the likeliest token."),
        click.option("--top-k", metavar="K", type=int, help="Choose among the K likeliest tokens."),
        click.option("--top-p", metavar="P", type=float, help="Among the likeliest whose chances come to P."),
        click.option("--min-p", metavar="P", type=float, help="Among those with at least P of the likeliest's chance."),
        click.option(
            "--repetition-penalty",
            metavar="X",
            type=float,
            default=1.0,
            show_default=True,
            help="Divide the scores of tokens that were there already by X; multiply those below 0.",
        ),
        click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same text."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def run_text(session: Session, codec: Codec, options: TextOptions) -> None:
    """Print a prompt and what a language model adds to it, as it comes, and then how fast it came."""
    from astroedge.workflows.evaluation.generate_text import continue_tokens, plan_text

    wanted = plan_text(codec, options.prompt or "", options.tokens, options.sampling, options.stops)
    start = time.perf_counter()
    count = show_text(codec, wanted.prompt, continue_tokens(session, wanted), options)
    seconds = time.perf_counter() - start
    if not is_quiet():
        units = codec.unit if count == 1 else f"{codec.unit}s"
        rate = f"{count / seconds:,.0f} a second with reading and printing"
        click.echo(f"{count} {units} in {seconds:.2f} s, {rate}.", err=True)


def run_text_on_board(net: Path, address: Address, options: TextOptions, threads: int | None, install: bool) -> None:
    """Print a prompt and what a language model on a board adds to it, once it has all been written there."""
    from astroedge.cli.shared.show_boards import reporting
    from astroedge.workflows.evaluation.generate_text import plan_text
    from astroedge.workflows.text_on_board import text_on_board

    def plan(codec: Codec) -> Wanted:
        return plan_text(codec, options.prompt or "", options.tokens, options.sampling, options.stops)

    with reporting((address,)) as say:
        codec, wanted, tokens = text_on_board(net, address, plan, threads=threads, install=install, say=say)
    show_text(codec, wanted.prompt, tokens, options)


def show_text(codec: Codec, prompt: Sequence[int], tokens: Iterable[int], options: TextOptions) -> int:
    """Print a prompt and the text of tokens as they come; how many came."""
    from astroedge.workflows.evaluation.generate_text import printable, until_stop

    count = 0

    def counted() -> Iterator[int]:
        nonlocal count
        for token in tokens:
            count += 1
            yield token

    given = (options.prompt or "").encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    click.echo(printable(given), nl=False)
    for piece in until_stop(codec.pieces(prompt, counted()), options.stops):
        click.echo(printable(piece), nl=False)
    click.echo()
    return count
