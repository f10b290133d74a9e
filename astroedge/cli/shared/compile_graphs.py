"""What `astroedge compile` does: one graph into a bundle, or into several with one table."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from astroedge.cli.shared.verbosity import is_quiet, is_verbose
from astroedge.errors import AstroEdgeError, InputError

if TYPE_CHECKING:
    from astroedge.bundle.manifest import Manifest
    from astroedge.workflows.compile_matrix import Outcome


class SomeFailedError(AstroEdgeError):
    """Some of several bundles could not be compiled; the exit code is that of the first."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.exit_code = code


def compile_one(graph: Path, target: str, precision: str, output: Path | None, options: Mapping[str, Any]) -> None:
    """Compile a graph into a bundle and say what was chosen, what to know, and where it is."""
    from astroedge.bundle.folder import check_replaceable
    from astroedge.bundle.one_file import check_file_replaceable
    from astroedge.cli.shared.display import print_line, size
    from astroedge.cli.shared.show_step import weights_summary
    from astroedge.workflows.compile_graph import compile_to
    from astroedge.workflows.compile_matrix import default_output

    path = output or default_output(graph)
    check = check_file_replaceable if options["one_file"] else check_replaceable
    check(path)
    bundle, reference = compile_to(path, graph, target, precision=precision, progress=_stages(), **options)
    manifest = bundle.manifest
    _show_kernels(manifest)
    if reference is not None:
        print_line(f"{weights_summary(manifest)} Wrote {reference}, the step's exact reference.")
    print_line(f"Wrote {path} for {manifest.target.name}, {size(bundle.nbytes)}. Next: astroedge verify {path}")


def write_executable(graph: Path, target: str, precision: str, output: Path | None, options: Mapping[str, Any]) -> None:
    """Make a program of a graph, or of a bundle, and say where it is."""
    from astroedge.bundle.container import Bundle
    from astroedge.bundle.one_file import is_archive
    from astroedge.cli.shared.display import print_line, size
    from astroedge.workflows.save_executable import compile_executable, save_executable

    path = output or graph.with_suffix("")
    if path == graph:
        raise InputError(f"{graph} is what is compiled; say with --output where the program goes.")
    if graph.is_dir() or is_archive(graph):
        _refuse_options(click.get_current_context())
        bundle = Bundle.load(graph)
        nbytes = save_executable(bundle, path, progress=_stages())
    else:
        bundle, nbytes = compile_executable(path, graph, target, precision=precision, progress=_stages(), **options)
        _show_kernels(bundle.manifest)
    name = bundle.manifest.target.name
    print_line(f"Wrote {path}, a program for {name}, {size(nbytes)}. Next, on the board: ./{path.name} verify")


def _refuse_options(context: click.Context) -> None:
    """Refuse options that tell how to compile, where a bundle is compiled already."""
    for option in context.command.params:
        given = context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
        if given and option.name not in ("graph", "output", "emit", "quiet", "verbose"):
            raise click.UsageError(f"{option.opts[-1]} is for graphs; a bundle is compiled already.", context)


def _show_kernels(manifest: Manifest) -> None:
    """Which kernels were chosen, and what multiplies zeros."""
    from astroedge.cli.shared.display import print_line
    from astroedge.cli.shared.show_step import count_kernels, pruned_summary

    print_line(count_kernels(manifest))
    if pruned := pruned_summary(manifest):
        print_line(pruned)
    for matrix in manifest.matrices:
        if matrix.multiplies_zeros:
            print_line(f"Note: matrix {matrix.name!r} multiplies all its inputs: {matrix.reason}.")


def compile_several(
    graph: Path,
    targets: Sequence[str],
    precisions: Sequence[str],
    folder: Path | None,
    options: Mapping[str, Any],
    jobs: int | None,
) -> None:
    """Compile a graph for every target at every precision, and say in one table what became of each.

    Raises SomeFailedError when some were not written.
    """
    from astroedge.cli.shared.display import print_line, print_table
    from astroedge.workflows.compile_matrix import compile_matrix, make_variants

    variants = make_variants(graph, targets, precisions, graph.parent if folder is None else folder)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    outcomes = compile_matrix(
        graph, variants, _typed(options), jobs or len(os.sched_getaffinity(0)), _count(len(variants))
    )
    print_table(
        ("target", "precision", "size", "kernels", "compiled in", "bundle"), [_row(outcome) for outcome in outcomes]
    )
    failed = [outcome for outcome in outcomes if outcome.bundle is None]
    for outcome in failed:
        print_line(f"{outcome.variant.target}, {outcome.variant.precision}: {outcome.error}")
    if failed:
        raise SomeFailedError(f"{len(failed)} of {len(outcomes)} bundles were not written.", failed[0].code)


def _stages() -> Callable[[str], None]:
    """Says each stage when it begins and, where more is to be said, the seconds since the first."""
    begin = time.monotonic()

    def say(line: str) -> None:
        after = f" ({time.monotonic() - begin:.1f} s)" if is_verbose() else ""
        if not is_quiet():
            click.echo(f"… {line}{after}", err=True)

    return say


def _typed(options: Mapping[str, Any]) -> list[str]:
    """Options as they are typed; those that are not given stay so."""
    typed = []
    for name, value in options.items():
        flag = "--zip" if name == "one_file" else f"--{name.replace('_', '-')}"
        if value is True:
            typed.append(flag)
        elif value not in (None, False):
            typed += [flag, str(value)]
    return typed


def _count(total: int) -> Callable[[Outcome], None]:
    """Says after each bundle how many are done."""
    done = 0

    def say(outcome: Outcome) -> None:
        nonlocal done
        done += 1
        word = "failed" if outcome.bundle is None else f"{outcome.seconds:.0f} s"
        if not is_quiet():
            click.echo(f"… {done} of {total}: {outcome.variant.output.name}, {word}", err=True)

    return say


def _row(outcome: Outcome) -> tuple[str, ...]:
    from astroedge.cli.shared.display import duration, size
    from astroedge.cli.shared.show_step import count_kernels

    variant = outcome.variant
    time_taken = duration(outcome.seconds * 1e9)
    if outcome.bundle is None:
        return variant.target, variant.precision, "–", "failed", time_taken, "–"
    return (
        variant.target,
        variant.precision,
        size(outcome.bundle.nbytes),
        count_kernels(outcome.bundle.manifest).partition(".")[0].removeprefix("Matrices: "),
        time_taken,
        str(variant.output),
    )
