"""What is known of a tensor that is mostly zero."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sparsity:
    """A tensor that fires: `source` names the spike tensor or input it comes from, `rate` its fraction of non-zeros.

    `binary` is True when every element is exactly 0 or 1 whatever the user does.
    """

    source: str
    rate: float
    binary: bool
