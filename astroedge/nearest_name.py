"""What somebody most likely meant by a name that stands for nothing."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """`did you mean 'near'?` with the one of `known` that is most like `name`, or None if none is like it enough.

    `cutoff` is the least likeness, from 0 for nothing in common to 1 for the same.
    """
    near = get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"did you mean {near[0]!r}?" if near else None
