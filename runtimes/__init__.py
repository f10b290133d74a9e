"""Bundle → Session: loading a compiled step on the device. Imports nothing heavier than NumPy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from astroedge.bundle import Bundle

if TYPE_CHECKING:
    from astroedge.runtimes.compiled import CompiledSession

__all__ = ["load"]


def load(bundle: str | os.PathLike[str] | Bundle, *, trust_weights: bool = False) -> CompiledSession:
    """Load a bundle, from its folder or from memory, and return a session at the initial state.

    Every file is compared with its digest. `trust_weights` leaves that out for the weights, which takes long for large
    models on small boards: for folders that only an administrator can change.

    Raises BundleError for a bundle that is missing, damaged or of an unknown version, IncompatibleError for one that
    was made for another processor or needs CPU features that this one lacks.
    """
    from astroedge.runtimes.compiled import CompiledSession

    opened = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    session = CompiledSession(opened, trust_weights=trust_weights)
    for record in opened.manifest.assets:
        opened.asset(record.name)
    return session
