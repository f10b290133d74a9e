"""Make one static program of a bundle: it verifies itself, measures itself and runs, with nothing else on the board."""

from __future__ import annotations

import os
from pathlib import Path

from astroedge import runtimes
from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import Manifest
from astroedge.replace_file import replacing
from astroedge.runtimes.profiling.synops import count_operations
from astroedge.targets.link.executable import link_executable
from astroedge.targets.link.program_data import CountedMatrix

_HOST = Path(runtimes.__file__).resolve().parent / "c"
_MODE = 0o755


def save_executable(bundle: Bundle | str | os.PathLike[str], output: str | os.PathLike[str]) -> int:
    """Link `bundle` (or the one in a folder) into one static program, write it to `output` and return its size in bytes.

    The program holds the step, its weights, the initial state and the golden trace, and needs a Linux kernel of the
    bundle's processor alone: `output verify`, `output profile`, `output run` and `output info` (docs/executable.md). Its
    bytes depend on the bundle and the release of zig alone. A file that is there already is replaced once the new one is
    whole.

    Raises LinkError for a step that a GPU computes or that has fast math, where zig is missing or fails; BundleError for
    a damaged bundle; OSError where the file cannot be written.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    program = link_executable(opened, _HOST, counted_matrices(opened.manifest))
    with replacing(output) as new:
        new.write_bytes(program)
        new.chmod(_MODE)
    return len(program)


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
