"""`astroedge eval`: how well bundles answer, beside the model they were made from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from astroedge.cli.shared.options import cast_option, device_option, fit_of, install_option
from astroedge.cli.shared.verbosity import is_quiet, verbosity_options
from astroedge.errors import InputError
from astroedge.readout import READOUTS

if TYPE_CHECKING:
    from astroedge.workflows.devices.address import Devices
    from astroedge.workflows.evaluation.evaluate import Contender, Evaluation

SHOWN = 20  # classes at most
RULES = {
    "sum": "the highest score of the first output, summed over the ticks",
    "rate": "the highest score of the first output, the mean over the ticks",
    "last": "the highest score of the first output in the last tick",
    "first-spike": "the element of the first output that fires first",
}


@click.command("eval")
@click.argument("bundles", metavar="BUNDLE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--data",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Sequences (N, T, …): .npy, or .npz by input; any other file is text for a language model.",
)
@click.option(
    "--labels",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The right classes, .npy: (N,), or (N, T) with a negative number where a tick does not count.",
)
@click.option(
    "--readout",
    type=click.Choice(READOUTS),
    default="sum",
    show_default=True,
    help="A sequence's class: the highest of the first output's sum, mean or last tick, or the first to fire.",
)
@click.option("--ticks", metavar="T", type=click.IntRange(min=1), help="FILE holds (N, …): each is shown for T ticks.")
@click.option("--graph", type=click.Path(path_type=Path), help="The step graph, in ONNX Runtime beside them (host).")
@click.option("--model", help="The PyTorch model, as export takes it, beside them (host).")
@click.option("--json", "json_path", metavar="FILE", help="Write the result as JSON; - for standard output.")
@device_option
@install_option
@cast_option
@verbosity_options
def eval_command(
    bundles: tuple[Path, ...],
    data: Path,
    labels: Path | None,
    readout: str,
    ticks: int | None,
    graph: Path | None,
    model: str | None,
    json_path: str | None,
    devices: Devices,
    install: bool,
    cast: bool,
) -> None:
    """Measure how well each BUNDLE answers on labelled data.

    Accuracy, or bits per byte of a text and perplexity per token: of bundles in several precisions, and of the model
    and the graph they were made from, side by side. Every change is that from the first line. With --device a board
    that SSH reaches runs the bundles; what they are compared with runs here.

    \b
    astroedge eval lm.astro lm-int8.astro --graph lm.onnx --data held-out.txt
    astroedge eval keywords-int8.astro --graph keywords.onnx --data frames.npy --labels words.npy
    astroedge eval digits.astro --data images.npy --labels digits.npy --ticks 100
    """
    from astroedge.cli.shared.display import STANDARD_OUTPUT, write_json
    from astroedge.workflows.evaluation.evaluate import evaluate

    if len(set(bundles)) < len(bundles):
        raise InputError("A bundle is named twice; name each once.")
    if len(devices.boards) > 1:
        raise click.UsageError("eval works on one board at a time (--device).")
    if install and not devices.boards:
        raise click.UsageError("--install goes with --device ssh://….")

    def show(line: str) -> None:
        if not is_quiet():
            click.echo(f"… {line}", err=True)

    options: dict[str, Any] = {"graph": graph, "model": model, "readout": readout, "ticks": ticks}
    options |= {"progress": show, "fit": fit_of(cast)}
    if devices.boards:
        from astroedge.workflows.evaluate_on_board import evaluate_on_board

        board = devices.boards[0]
        found = evaluate_on_board(
            bundles, data, labels, board, install=install, say=lambda _, line: show(f"{board.text}: {line}"), **options
        )
    else:
        found = evaluate(bundles, data, labels, device=devices.gpu, **options)
    if json_path is not None:
        write_json(found.to_json(), json_path)
    if json_path != STANDARD_OUTPUT:
        _show(found)


def _show(found: Evaluation) -> None:
    from astroedge.cli.shared.display import print_line, print_table

    metrics = list(found.contenders[0].metrics)
    headers = ["", "weights", "size", "of float32"]
    for metric in metrics:
        headers += [metric, "change"]
    rows = [
        (*_weights(item), *(cell for metric in metrics for cell in _metric(found, item, metric)), item.note)
        for item in found.contenders
    ]
    plural = "" if found.counted == 1 else "s"
    print_table((*headers, ""), rows, f"{found.data}: {found.counted:,} {found.unit}{plural}")
    if found.classes:
        _show_classes(found)
    if found.note:
        print_line(f"Note: {found.note}.")
    if found.unit == "sequence":
        print_line(f"A sequence's class is {RULES[found.readout]}; of equals it is the lowest.")


def _show_classes(found: Evaluation) -> None:
    """How often each class was found, those first that the last contender found least."""
    from astroedge.cli.shared.display import print_table

    least = sorted(found.classes, key=lambda item: item.right[-1] / item.counted)
    rows = [
        (item.label, f"{item.counted:,}", *(f"{100 * right / item.counted:.2f} %" for right in item.right))
        for item in least[:SHOWN]
    ]
    more = f", {SHOWN} of {len(least)}" * (len(least) > SHOWN)
    headers = ("class", "counted", *(item.name for item in found.contenders))
    print_table(headers, rows, f"Found of each class, the least first{more}")


def _weights(item: Contender) -> tuple[str, str, str, str]:
    from astroedge.cli.shared.display import size

    if item.weights_bytes is None or item.float32_bytes is None:
        return item.name, item.precision, "–", "–"
    share = f"{100 * item.weights_bytes / item.float32_bytes:.1f} %"
    return item.name, item.precision, size(item.weights_bytes), share


def _metric(found: Evaluation, item: Contender, metric: str) -> tuple[str, str]:
    """A value and its change from the first line: accuracy in percentage points, bits relative."""
    value = item.metrics[metric]
    change = round(100 * found.change(item, metric), 2) + 0.0  # no −0.00
    shown, unit = (
        (f"{100 * value:.2f} %", "points")
        if metric == "accuracy"
        else (f"{value:.4f}" if value < 1e6 else f"{value:.4g}", "%")
    )
    return shown, "–" if item is found.contenders[0] else f"{change:+.2f} {unit}"
