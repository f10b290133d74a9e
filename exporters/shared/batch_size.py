"""How many streams one step may carry: as many as kernels can number and this machine can hold examples of."""

from __future__ import annotations

import os

from astroedge.errors import ExportError
from astroedge.units import size

MOST_STREAMS = 65_536


def check_batch(batch: object, nbytes: int = 0) -> None:
    """Raise ExportError for a number of streams that no step has; `nbytes` are one's inputs and states while exported.

    From some tens of streams on a step gains little by more: each adds its own arithmetic, and weights are read once.
    """
    if type(batch) is not int or batch < 1:
        raise ExportError(f"batch={batch!r} must be a whole number of streams, at least 1.")
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    advice = "a step of 16 to 64 reads its weights as rarely: call it for one group of streams after the other"
    if batch * nbytes > there:
        raise ExportError(
            f"The example inputs and states of {batch:,} streams take {size(batch * nbytes)}, and this machine has "
            f"{size(there)}; {advice}."
        )
    if batch > MOST_STREAMS:
        raise ExportError(f"One step carries at most {MOST_STREAMS:,} streams, not {batch:,}; {advice}.")
