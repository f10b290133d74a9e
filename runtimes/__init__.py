"""Bundle → Session: loading a compiled step on the device.

Imports nouns and `session`, nothing heavier than NumPy.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from astroedge.bundle.container import Bundle
from astroedge.bundle.folder import TOO_MANY_FILES, too_many_files
from astroedge.bundle.manifest_file import MANIFEST_NAME
from astroedge.errors import BundleError
from astroedge.main_interpreter import refuse_subinterpreter

if TYPE_CHECKING:
    from astroedge.runtimes.session.compiled import CompiledSession

__all__ = ["load"]

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

    def open_session(opened: Bundle) -> CompiledSession:
        try:
            session = CompiledSession(opened, trust_weights=trust_weights, threads=threads, device=device)
        except OSError as error:
            if error.errno in TOO_MANY_FILES:
                raise too_many_files() from error
            raise
        for record in opened.manifest.assets:
            opened.asset(record.name)
        return session

    if isinstance(bundle, Bundle):
        return open_session(bundle)
    for _ in range(_TRIES - 1):
        before = _manifest_identity(bundle)
        try:
            return open_session(Bundle.load(bundle))
        except BundleError:
            if _manifest_identity(bundle) == before:
                raise
    return open_session(Bundle.load(bundle))


def _manifest_identity(folder: str | os.PathLike[str]) -> tuple[int, int] | None:
    """What tells one manifest from the one that replaces it: a save while files are opened takes them away."""
    try:
        status = os.stat(Path(folder) / MANIFEST_NAME)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
