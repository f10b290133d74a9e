"""Words for modules and lists of names in messages, whether a class is of a framework, and names that are not taken."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import count

from torch import nn


def label(path: str, module: nn.Module) -> str:
    """`Module 'path' (Class)`, or the class alone for the model itself."""
    return f"Module {path!r} ({type(module).__name__})" if path else type(module).__name__


def few(names: Sequence[str], shown: int = 3) -> str:
    """The first `shown` of some names, quoted, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(map(repr, names[:shown])) + more


def derives_from(module: nn.Module, package: str, *names: str) -> bool:
    """Whether a module's class is, or derives from, one of these classes of a package that need not be installed."""
    return any(kind.__name__ in names and kind.__module__.partition(".")[0] == package for kind in type(module).__mro__)


def unique(name: str, taken: Collection[str]) -> str:
    """`name`, or `name_1`, `name_2`, … if it is taken."""
    candidates = (f"{name}_{number}" if number else name for number in count())
    return next(candidate for candidate in candidates if candidate not in taken)
