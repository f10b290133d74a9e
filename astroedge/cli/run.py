"""`astroedge run`: text from a language model, arrays through any other."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

import astroedge
from astroedge.cli.shared.live import LiveOptions, live_options, run_source
from astroedge.cli.shared.options import cast_option, device_option, fit_of, install_option, threads_option
from astroedge.cli.shared.text import OPTIONS, TextOptions, run_text, run_text_on_board, text_options
from astroedge.cli.shared.verbosity import is_quiet, verbosity_options
from astroedge.errors import InputError
from astroedge.readout import READOUTS

if TYPE_CHECKING:
    from astroedge.session import Session
    from astroedge.workflows.devices.address import Devices
    from astroedge.workflows.inputs.fit_arrays import Fit
    from astroedge.workflows.run_step import Presenting


@click.command("run")
@click.argument("bundle", type=click.Path(path_type=Path))
@text_options
@click.option("--input", "source", metavar="FILE", help="Other models: .npy, .npz, .csv, time first; - for CSV lines.")
@click.option("--output", type=click.Path(path_type=Path), help="Write .npy, .npz or .csv; without it CSV is printed.")
@click.option(
    "--ticks", metavar="T", type=click.IntRange(min=1), help="Reset and show every row of --input for T ticks."
)
@click.option(
    "--readout",
    type=click.Choice(READOUTS),
    help="With --ticks, what the outputs of a row come to, by default their sum; of equal classes the lowest is taken.",
)
@live_options
@threads_option
@device_option
@install_option
@cast_option
@verbosity_options
def run_command(
    bundle: Path,
    prompt: str | None,
    tokens: int,
    stops: tuple[str, ...],
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    min_p: float | None,
    repetition_penalty: float,
    seed: int,
    source: str | None,
    output: Path | None,
    ticks: int | None,
    readout: str | None,
    live_source: str | None,
    rate: float | None,
    decode: str | None,
    window: int | None,
    threads: int | None,
    devices: Devices,
    install: bool,
    cast: bool,
) -> None:
    """Run BUNDLE: continue a prompt, or feed it arrays.

    With --ticks each row of the arrays is shown for a number of ticks, from a reset, and has one answer. With --device
    a board that SSH reaches runs it; BUNDLE may be a step graph, which is compiled for that board.

    \b
    astroedge run char_lm.astro --prompt "The list of" --tokens 400
    astroedge run keywords.astro --input frames.npy --output scores.csv
    sensor | astroedge run monitor.astro --input -
    astroedge run digits.astro --input images.npy --ticks 100 --readout first-spike
    astroedge run gestures.astro --source events:recording.dat --rate 200 --decode rate --window 100
    """
    from astroedge.bundle.container import Bundle
    from astroedge.step.assets import TOKENIZER
    from astroedge.workflows.evaluation.generate_text import Sampling, find_codec, no_language_model
    from astroedge.workflows.run_step import Presenting

    if source is not None and prompt is not None:
        raise click.UsageError("--prompt and --input exclude each other.")
    if readout is not None and ticks is None:
        raise click.UsageError("--readout goes with --ticks.")
    sampling = Sampling(temperature, top_k, seed, top_p, min_p, repetition_penalty)
    text = TextOptions(prompt, tokens, stops, sampling)
    live = LiveOptions(live_source, rate, decode, window)
    _check_live(live, source, click.get_current_context())
    if devices.boards:
        if len(devices.boards) > 1 or live.source is not None:
            raise click.UsageError("On a board, run takes --prompt or --input, and one board at a time (--device).")
        if source is None:
            run_text_on_board(bundle, devices.boards[0], text, threads, install)
            return
        asked = {"ticks": ticks, "readout": readout or "sum", "threads": threads, "install": install}
        _run_on_board(bundle, devices, source, output, {**asked, "fit": fit_of(cast, rate)})
        return
    if install:
        raise click.UsageError("--install goes with --device ssh://….")
    with astroedge.load(bundle, threads=threads, device=devices.gpu) as session:
        if live.source is not None:
            run_source(session, bundle, live)
        elif source is not None:
            how = None if ticks is None else Presenting(ticks, readout or "sum", Bundle.load(bundle).labels, _tell)
            _run_data(session, source, output, how, fit_of(cast, rate))
        elif output is not None or ticks is not None:
            raise click.UsageError(f"{'--ticks' if output is None else '--output'} goes with --input.")
        elif (codec := find_codec(session.spec, Bundle.load(bundle).find_asset(TOKENIZER))) is not None:
            run_text(session, codec, text)
        else:
            raise InputError(no_language_model(bundle, session.spec))


def _run_on_board(net: Path, devices: Devices, source: str, output: Path | None, asked: dict[str, Any]) -> None:
    from astroedge.cli.shared.show_boards import reporting
    from astroedge.replace_file import replace_file
    from astroedge.workflows.inputs.array_files import check_suffix
    from astroedge.workflows.run_on_board import run_on_board

    suffix = ".csv" if output is None else check_suffix(output)
    with reporting(devices.boards) as say:
        content = run_on_board(net, devices.boards[0], source, suffix, say=say, tell=_tell, **asked)
    if output is not None:
        replace_file(output, content)
    else:
        click.echo(content, nl=False)


WITHOUT_SOURCE = OPTIONS | {
    "source": "--input",
    "output": "--output",
    "ticks": "--ticks",
    "readout": "--readout",
    "cast": "--cast",
}
"""Options that say nothing of live data, by their names in Python."""


def _check_live(live: LiveOptions, source: str | None, context: click.Context) -> None:
    """Refuse options that do not go together."""
    from astroedge.workflows.inputs.event_files import is_event_file

    for name, option in WITHOUT_SOURCE.items() if live.source is not None else ():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--source and {option} exclude each other.")
    if live.decode in ("rate", "first-spike") and live.rate is None and live.window is None:
        raise click.UsageError(f"--decode {live.decode} without --rate needs --window: how many ticks it looks at.")
    if live.source is None and (live.decode, live.window) != (None, None):
        raise click.UsageError("--decode and --window go with --source.")
    if live.window is not None and live.decode not in ("rate", "first-spike"):
        raise click.UsageError("--window goes with --decode rate or first-spike.")
    if live.source is None and live.rate is not None and source is None:
        raise click.UsageError("--rate goes with --source, or with a recording of events as --input.")
    if source is not None and live.rate is not None and not is_event_file(source):
        raise click.UsageError("--rate is for a recording of events; a file of arrays has its ticks.")


def _tell(line: str) -> None:
    if not is_quiet():
        click.echo(line, err=True)


def _run_data(session: Session, source: str, output: Path | None, how: Presenting | None, fit: Fit) -> None:
    from astroedge.replace_file import replace_file
    from astroedge.workflows.inputs.array_files import check_suffix
    from astroedge.workflows.run_step import present_file, run_file, run_lines

    def run(suffix: str) -> bytes:
        return (
            run_file(session, source, suffix, fit) if how is None else present_file(session, source, suffix, how, fit)
        )

    if output is not None:
        replace_file(output, run(check_suffix(output)))
    elif source == "-" and how is None:
        for line in run_lines(session, sys.stdin, "standard input"):
            click.echo(line, nl=False)
    else:
        click.echo(run(".csv"), nl=False)
