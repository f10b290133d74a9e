"""Make one static program of a bundle: it verifies itself, measures itself and runs, with nothing else on the board."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astroedge import runtimes
from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import Manifest
from astroedge.replace_file import replacing
from astroedge.runtimes.profiling.synops import count_operations
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.link.executable import link_executable, refuse_unlinkable
from astroedge.targets.link.program_data import CountedMatrix
from astroedge.workflows.compile_graph import Progress, compile

if TYPE_CHECKING:
    from astroedge.step.graph import StepGraph
    from astroedge.targets.boards.target import Target

_HOST = Path(runtimes.__file__).resolve().parent / "c"
_MODE = 0o755


def save_executable(
    bundle: Bundle | str | os.PathLike[str], output: str | os.PathLike[str], *, progress: Progress | None = None
) -> int:
    """Link `bundle`, or the one in a folder, into one static program, write it to `output`; returns its size in bytes.

    The program holds the step, its weights, the initial state and the golden trace, and needs a Linux kernel of the
    bundle's processor, nothing else: `output verify`, `output profile`, `output run` and `output info`. Its bytes
    depend on the bundle and the release of zig alone. A file that is there already is replaced once the new one is
    whole. `progress` is called with a line before it is linked.

    Raises LinkError for a step that a GPU computes or that has fast math, and where zig is missing or fails,
    BundleError for a damaged bundle, OSError where the file cannot be written.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    if progress is not None:
        progress(
            f"linking a program for {opened.manifest.target.name}, whose C library zig builds first where none is kept"
        )
    program = link_executable(opened, _HOST, counted_matrices(opened.manifest))
    with replacing(output) as new:
        new.write_bytes(program)
        new.chmod(_MODE)
    return len(program)


def compile_executable(
    output: str | os.PathLike[str],
    graph: StepGraph | str | os.PathLike[str],
    target: str | os.PathLike[str] | Target = "native",
    *,
    math: str = "exact",
    **options: Any,
) -> tuple[Bundle, int]:
    """Compile as `compile` does, with its options, and save the program; returns the bundle in memory and its size.

    Raises what `compile` and `save_executable` raise, before anything is compiled where that can be known.
    """
    check_place(output)
    goal = resolve_target(target)
    refuse_unlinkable(bool(goal.gpu), math)
    bundle = compile(graph, goal, math=math, **options)
    return bundle, save_executable(bundle, output, progress=options.get("progress"))


def check_place(output: str | os.PathLike[str]) -> None:
    """Raise OSError where no program can be written: before long work."""
    path = Path(output)
    if not path.parent.is_dir():
        folder = os.fspath(path.parent)
        raise FileNotFoundError(errno.ENOENT, "there is no such folder to write the program into", folder)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder; name the program's file", os.fspath(path))


def counted_matrices(manifest: Manifest) -> tuple[CountedMatrix, ...]:
    """The synaptic operations of every matrix, as a number that does not depend on activity and one that counts it."""
    names = [item.name for item in manifest.activity]
    silent, lively = (
        count_operations(manifest.matrices, manifest.activity, dict.fromkeys(names, active), 1).matrices
        for active in (0, 1)
    )
    return tuple(
        CountedMatrix(quiet, loud.effective - quiet.effective, names.index(matrix.spikes) if matrix.spikes else 0)
        for matrix, quiet, loud in zip(manifest.matrices, silent, lively, strict=True)
    )
