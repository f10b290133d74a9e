"""What is known of a tensor that is mostly one value, and of what becomes of several such."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod


@dataclass(frozen=True)
class Sparsity:
    """A tensor that fires: `source` names the spike tensor or input it comes from, `rate` its fraction of non-zeros.

    `binary` is True when every element is exactly 0 or 1 whatever the user does; `spiking` when all that are not zero
    have one magnitude unless the user sets a state otherwise (1, or 2, or -1 and 1): inputs to add, not to multiply.
    `whole` is True when the elements are those of the source, each once, in whatever order. `exact` is True when every
    element is 0 or a power of two from 1 to 128 with either sign, whatever the user does: a product with a number
    loses nothing.
    """

    source: str
    rate: float
    binary: bool
    spiking: bool = True
    whole: bool = False
    exact: bool = False


@dataclass(frozen=True)
class Resting:
    """A tensor of which all but a fraction `rate` of the elements are `rest`: 0 in a spike tensor z, 1 in 1 - z.

    `whole` is as in `Sparsity`.
    """

    source: str
    rate: float
    rest: float = 0.0
    whole: bool = False


def joint(parts: Sequence[Resting], rest: float = 0.0, times: float = 1) -> Resting:
    """What rests where all of `parts` do, each of them `times` over, reckoned as if elements fired independently.

    Real images fire in patches, and so less often.
    """
    silent = prod((1 - part.rate) ** times for part in parts)
    return Resting(sources(parts), 1 - silent, rest)


def sources(parts: Sequence[Resting]) -> str:
    """The names of what several tensors come from, each once."""
    return " and ".join(dict.fromkeys(name for part in parts for name in part.source.split(" and ") if name))
