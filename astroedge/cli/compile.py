"""`astroedge compile`: a step graph becomes a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from astroedge.cli.shared.options import GPU_TARGETS
from astroedge.parity import BRIEF_TICKS, PARITY_TICKS, TOLERANCE

if TYPE_CHECKING:
    from astroedge.bundle.manifest import Manifest


@click.command("compile")
@click.argument("graph", type=click.Path(path_type=Path))
@click.option(
    "-t",
    "--target",
    default="native",
    show_default=True,
    help=f"A board (targets list), native, {GPU_TARGETS}, or a board file.",
)
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The bundle (.astro) or program to write."
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
    help="Store weights as float32, float16, int8 or int4; with a pattern, those of that name. Repeatable.",
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
    help=f"Compare over N ticks; by default {PARITY_TICKS}, of large steps {BRIEF_TICKS}.",
)
def compile_command(
    graph: Path,
    target: str,
    output: Path,
    emit: str,
    math: str,
    kernels: str,
    precision: tuple[str, ...],
    probes: bool,
    tolerance: float,
    allow_flips: int | None,
    check_ticks: int | None,
) -> None:
    """Compile GRAPH into a bundle, or one program, for a target.

    The compiled step is compared with ONNX Runtime, and its golden trace is recorded. A bundle that is there already is
    replaced in one move once the new one is whole. With --precision the graph with dequantised weights, which is what
    the step is compared with, is written beside it as NAME.dequantised.onnx.

    With --emit executable a static program is written in the bundle's place, which verifies, measures and runs the step
    on a board that has neither Python nor a C library: PROGRAM --help.
    """
    options: dict[str, Any] = {
        "math": math,
        "kernels": kernels,
        "precision": ", ".join(precision),
        "probes": probes,
        "tolerance": tolerance,
        "allow_flips": allow_flips,
        "check_ticks": check_ticks,
    }
    if emit == "executable":
        _write_executable(graph, target, output, options)
    else:
        _write_bundle(graph, target, output, options)


def _write_bundle(graph: Path, target: str, output: Path, options: dict[str, Any]) -> None:
    from astroedge.bundle.folder import check_replaceable
    from astroedge.cli.shared.display import print_line, size
    from astroedge.cli.shared.show_step import weights_summary
    from astroedge.workflows.compile_graph import compile_to

    check_replaceable(output)
    bundle, reference = compile_to(output, graph, target, **options, progress=_say)
    manifest = bundle.manifest
    _show_kernels(manifest)
    if reference is not None:
        print_line(f"{weights_summary(manifest)} Wrote {reference}, the step's exact reference.")
    total = manifest.library.size + manifest.weights.size
    print_line(f"Wrote {output} for {manifest.target.name}, {size(total)}. Next: astroedge verify {output}")


def _write_executable(graph: Path, target: str, output: Path, options: dict[str, Any]) -> None:
    from astroedge.bundle.container import Bundle
    from astroedge.cli.shared.display import print_line, size
    from astroedge.workflows.save_executable import compile_executable, save_executable

    if graph.is_dir() or graph.suffix == ".astro":
        _refuse_options(click.get_current_context())
        bundle = Bundle.load(graph)
        nbytes = save_executable(bundle, output)
    else:
        bundle, nbytes = compile_executable(output, graph, target, **options, progress=_say)
        _show_kernels(bundle.manifest)
    name = bundle.manifest.target.name
    print_line(f"Wrote {output}, a program for {name}, {size(nbytes)}. Next, on the board: ./{output.name} verify")


def _refuse_options(context: click.Context) -> None:
    """Refuse options that tell how to compile, where a bundle is compiled already."""
    for option in context.command.params:
        given = context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
        if given and option.name not in ("graph", "output", "emit"):
            raise click.UsageError(f"{option.opts[-1]} is for graphs; a bundle is compiled already.", context)


def _show_kernels(manifest: Manifest) -> None:
    from astroedge.cli.shared.display import print_line
    from astroedge.cli.shared.show_step import count_kernels, pruned_summary

    print_line(count_kernels(manifest))
    if pruned := pruned_summary(manifest):
        print_line(pruned)
    for matrix in manifest.matrices:
        if matrix.multiplies_zeros:
            print_line(f"Note: matrix {matrix.name!r} multiplies all its inputs: {matrix.reason}.")


def _say(line: str) -> None:
    click.echo(f"… {line}", err=True)
