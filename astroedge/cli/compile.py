"""`astroedge compile`: a step graph becomes a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from astroedge.cli.shared.compile_graphs import compile_one, compile_several, write_executable
from astroedge.cli.shared.options import GPU_TARGETS, complete_target
from astroedge.cli.shared.verbosity import verbosity_options
from astroedge.parity import BRIEF_TICKS, FEW_TICKS, PARITY_TICKS, TOLERANCE


@click.command("compile")
@click.argument("graph", type=click.Path(path_type=Path))
@click.option(
    "-t",
    "--target",
    "targets",
    multiple=True,
    default=["native"],
    show_default=True,
    shell_complete=complete_target,
    help=f"A board (targets list), native, {GPU_TARGETS}, or a board file. Of several each gets its bundle.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The bundle to write, by default GRAPH's name with .astro; of several, the folder they go to.",
)
@click.option(
    "--emit",
    type=click.Choice(["bundle", "executable"]),
    default="bundle",
    show_default=True,
    help="executable: one static program with the step in it, for a board without Python; GRAPH may be a bundle then.",
)
@click.option(
    "--math",
    type=click.Choice(["exact", "fast"]),
    default="exact",
    show_default=True,
    help="exact: the same bits on every target; fast: what the processor and its C library make of it (not for GPUs).",
)
@click.option(
    "--kernels",
    type=click.Choice(["auto", "event", "dense", "pruned"]),
    default="auto",
    show_default=True,
    help="Force one kind of matrix kernel; it never changes a bit.",
)
@click.option(
    "--precision",
    metavar="[PATTERN=]P",
    multiple=True,
    default=["float32"],
    show_default=True,
    help="Store weights as float32, float16, int8 or int4; with a pattern, those of that name. Repeatable. "
    "float32,int8 compiles a bundle at each.",
)
@click.option("--probes", is_flag=True, help="Add every spike tensor and its margin to the outputs.")
@click.option(
    "--tolerance",
    metavar="X",
    type=float,
    default=TOLERANCE,
    show_default=True,
    help="Accept differences from ONNX Runtime up to this share of a sum's largest operand.",
)
@click.option(
    "--allow-flips",
    metavar="N",
    type=click.IntRange(min=0),
    help="Accept N spikes decided otherwise within the tolerance; else five per million.",
)
@click.option(
    "--check-ticks",
    metavar="N",
    type=click.IntRange(min=1),
    help=f"Compare over N ticks; by default {PARITY_TICKS}, of large steps {BRIEF_TICKS} or {FEW_TICKS}.",
)
@click.option(
    "--labels",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The names of the classes, a line each, in place of those of the graph; run prints them.",
)
@click.option("--zip", "one_file", is_flag=True, help="Write the bundle as one file, which every command takes too.")
@click.option(
    "--jobs", metavar="N", type=click.IntRange(min=1), help="Compile N of several bundles at once; all cores."
)
@verbosity_options
def compile_command(
    graph: Path,
    targets: tuple[str, ...],
    output: Path | None,
    emit: str,
    math: str,
    kernels: str,
    precision: tuple[str, ...],
    probes: bool,
    tolerance: float,
    allow_flips: int | None,
    check_ticks: int | None,
    labels: Path | None,
    one_file: bool,
    jobs: int | None,
) -> None:
    """Compile GRAPH into a bundle, or one program, for a target.

    The compiled step is compared with ONNX Runtime, and its golden trace is recorded. A bundle that is there already is
    replaced in one move once the new one is whole. With --precision the graph with dequantised weights, which is what
    the step is compared with, is written beside it as NAME.dequantised.onnx.

    With --emit executable a static program is written in the bundle's place, which verifies, measures and runs the step
    on a board that has neither Python nor a C library: PROGRAM --help.
    """
    options = {
        "math": math,
        "kernels": kernels,
        "probes": probes,
        "tolerance": tolerance,
        "allow_flips": allow_flips,
        "check_ticks": check_ticks,
        "labels": None if labels is None else labels.absolute(),
        "one_file": one_file,
    }
    precisions = _precisions(precision)
    if emit == "executable":
        if len(targets) * len(precisions) > 1 or jobs is not None or one_file or labels is not None:
            raise click.UsageError(
                "--emit executable writes one program: one target, one precision, no --zip, --labels."
            )
        del options["one_file"], options["labels"]
        write_executable(graph, targets[0], precisions[0], output, options)
    elif len(targets) * len(precisions) > 1:
        compile_several(graph, targets, precisions, output, options, jobs)
    elif jobs is not None:
        raise click.UsageError("--jobs is for several bundles: give several --target, or --precision float32,int8.")
    else:
        compile_one(graph, targets[0], precisions[0], output, options)


def _precisions(given: Sequence[str]) -> list[str]:
    """What weights are stored in, once for each bundle: `float32,int8` are two, patterns are parts of one."""
    several = [text for text in given if "," in text and "=" not in text]
    if not several:
        return [", ".join(given)]
    if len(given) > 1:
        raise click.UsageError(f"--precision {several[0]} names several bundles; give it alone, without patterns.")
    return [name.strip() for name in several[0].split(",")]
