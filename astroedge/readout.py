"""Readouts: what a presentation of many ticks comes to, and the class it stands for.

A network that looks at an image for T ticks answers with the sum or the mean of its outputs, with those of the last
tick, or with which output fires first (time to first spike: Thorpe, Delorme and Van Rullen, Spike-based strategies for
rapid processing, 2001).

NumPy is imported where it is used: the command line shows the names of readouts without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from astroedge.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

MOST_TICKS = 10**9  # of a presentation
READOUTS = ("sum", "rate", "last", "first-spike")


class Readout:
    """One output over the ticks of a presentation, which may come in pieces.

    The result has the output's shape. "sum" and "rate", the mean, are float64, added tick by tick in that order on any
    machine; "last" is the last tick's, in its own dtype; "first-spike" is the tick, from 0 and int64, of each element's
    first value that is not 0, and the number of ticks where there was none.

    Raises InputError for another readout.
    """

    def __init__(self, kind: str) -> None:
        """Before the first tick."""
        if kind not in READOUTS:
            raise InputError(f"There is no readout {kind!r}; it is one of {', '.join(READOUTS)}.")
        self.kind = kind
        self.ticks = 0
        self._total: Any = None

    def add(self, values: Array) -> None:
        """Further ticks, `(ticks, …)`, at least one."""
        import numpy as np

        if self.kind == "last":
            self._total = values[-1].copy()
        elif self.kind == "first-spike":
            self._total = self._first(values)
        else:
            ticks = values.astype(np.float64)
            before = self._total[None] if self.ticks else np.zeros((1, *ticks.shape[1:]))
            self._total = np.add.accumulate(np.concatenate([before, ticks]))[-1].copy()
        self.ticks += len(values)

    def result(self) -> Array:
        """What the ticks so far come to; there was at least one."""
        import numpy as np

        if self.kind == "rate":
            found: Array = self._total / self.ticks
            return found
        if self.kind == "first-spike":
            return np.where(self._total < 0, self.ticks, self._total)
        total: Array = self._total
        return total

    def _first(self, values: Array) -> Array:
        """The first tick that is not 0 of each element, −1 for none."""
        import numpy as np

        fired = values != 0
        first = np.where(fired.any(axis=0), fired.argmax(axis=0) + self.ticks, -1)
        return first if not self.ticks else np.where(self._total < 0, first, self._total)


def chosen_class(kind: str, result: Array, ticks: int) -> int:
    """The class that a readout of scores stands for, by its flat index: the highest, or the first to fire.

    Of equals it is the lowest index. Where nothing fired in `ticks` ticks there is none: −1.
    """
    if kind != "first-spike":
        return int(result.argmax())
    return int(result.argmin()) if result.min() < ticks else -1
