"""Bundle → Session, or a pool of them: loading a compiled step on the device.

Imports nouns and `session`, nothing heavier than NumPy.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from astroedge.bundle.container import Bundle
from astroedge.bundle.folder import TOO_MANY_FILES, too_many_files
from astroedge.bundle.manifest_file import MANIFEST_NAME
from astroedge.errors import BundleError
from astroedge.main_interpreter import refuse_subinterpreter

if TYPE_CHECKING:
    from astroedge.runtimes.session.compiled import CompiledSession
    from astroedge.runtimes.session.pool import Pool

__all__ = ["load", "load_pool"]

Loaded = TypeVar("Loaded")

_TRIES = 20  # at a bundle that is replaced while it is opened


def load(
    bundle: str | os.PathLike[str] | Bundle,
    *,
    trust_weights: bool = False,
    threads: int | None = None,
    device: int | None = None,
) -> CompiledSession:
    """Load a bundle, from its folder or from memory, and return a session at the initial state.

    Every file is compared with its digest, and what was compared is what runs: the weights are a private copy, one for
    all sessions of a bundle in this process and in those forked from it, which is freed with the last of them.
    `trust_weights` maps the file instead and compares nothing: sooner ready, and the kernel can drop what is not
    in use and share it between processes; but whoever changes the file changes a running session's numbers, and whoever
    cuts it ends the process. It is for folders that only an administrator can change.

    `threads` is how many threads compute a tick, the caller's among them; the bits are the same for any number. With
    None it is one, or for a step that touches several MiB as many as its manifest advises (`default_threads`) and this
    process has cores. `session.threads` says which. The session's threads sleep between ticks that are far apart, and
    end with it; a forked process starts its own at its first tick.

    `device` is the number of the GPU that computes a bundle that was compiled for one, by default the first; its
    driver is looked for now. `session.gpu` says which it is and what is taken there. Sessions share the weights there.

    Raises BundleError for a bundle that is missing, damaged or of an unknown version, IncompatibleError for one that
    was made for another processor or needs CPU features, a driver, a GPU or memory that are not here, InputError for a
    number of threads that cannot be, such as 2 for a step that is too small to be divided, or of a GPU that is not
    there.
    """
    refuse_subinterpreter()
    from astroedge.runtimes.session.compiled import CompiledSession

    return _open(
        bundle, lambda opened: CompiledSession(opened, trust_weights=trust_weights, threads=threads, device=device)
    )


def load_pool(
    bundle: str | os.PathLike[str] | Bundle,
    streams: int,
    *,
    trust_weights: bool = False,
    threads: int | None = None,
) -> Pool:
    """Load a bundle for `streams` streams, each at the initial state, that `step` takes all at once.

    `pool[i]` is one of them, a session as `load` returns it, to be stepped, reset, saved or restored alone. Memory and
    time of a further stream are those of its own state and workspace: weights and library are there once.

    `threads` is how many threads make the ticks, whole streams each, the caller's among them; with None as many as this
    process has cores, and never more than streams. They sleep while there is nothing to do. One tick is not divided, as
    `load(…, threads=…)` divides it.

    Raises what `load` does, and InputError for a number of streams that cannot be and for a bundle whose ticks a GPU
    makes, IncompatibleError for more streams than this machine has memory for.
    """
    refuse_subinterpreter()
    from astroedge.runtimes.session.pool import Pool

    return _open(bundle, lambda opened: Pool(opened, streams, trust_weights=trust_weights, threads=threads))


def _open(bundle: str | os.PathLike[str] | Bundle, make: Callable[[Bundle], Loaded]) -> Loaded:
    """What `make` makes of a bundle whose files all match, tried again where another one takes its place meanwhile."""

    def open_once(opened: Bundle) -> Loaded:
        try:
            made = make(opened)
        except OSError as error:
            if error.errno in TOO_MANY_FILES:
                raise too_many_files() from error
            raise
        for record in opened.manifest.assets:
            opened.asset(record.name)
        return made

    if isinstance(bundle, Bundle):
        return open_once(bundle)
    for _ in range(_TRIES - 1):
        before = _manifest_identity(bundle)
        try:
            return open_once(Bundle.load(bundle))
        except BundleError:
            if _manifest_identity(bundle) == before:
                raise
    return open_once(Bundle.load(bundle))


def _manifest_identity(folder: str | os.PathLike[str]) -> tuple[int, int] | None:
    """What tells one manifest from the one that replaces it: a save while files are opened takes them away."""
    try:
        status = os.stat(Path(folder) / MANIFEST_NAME)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
