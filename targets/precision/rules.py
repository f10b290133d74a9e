"""Which precision each weight is stored in, as a user says it: "int8", or "int4, head*=int8, *.W_x=float32"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from astroedge.errors import CompileError
from astroedge.targets.precision.storage import FLOAT32, STORAGES, Storage

ANY = "*"
WEIGHT_SUFFIX = ".weight"


@dataclass(frozen=True)
class PrecisionRules:
    """A precision for all weights, and overrides `(pattern, precision)` of which the last that matches counts."""

    base: Storage = FLOAT32
    overrides: tuple[tuple[str, Storage], ...] = ()

    @property
    def text(self) -> str:
        """The canonical text; `read_precision` reads it back."""
        return ", ".join([self.base.name, *(f"{pattern}={storage.name}" for pattern, storage in self.overrides)])

    def of(self, name: str) -> Storage:
        """The precision of the weight `name`; patterns see the name with and without a final ".weight"."""
        matching = (storage for pattern, storage in reversed(self.overrides) if matches(pattern, name))
        return next(matching, self.base)

    def check(self, names: Iterable[str]) -> None:
        """Raise CompileError for an override that matches none of the weights `names`."""
        known = list(names)
        for pattern, storage in self.overrides:
            if not any(matches(pattern, name) for name in known):
                shown = ", ".join(layer_name(name) for name in known) or "none"
                raise CompileError(
                    f"precision {pattern}={storage.name} matches no weight; it is probably misspelt. "
                    f"The weights: {shown}."
                )


def read_precision(given: str | Mapping[str, str]) -> PrecisionRules:
    """Rules from a text such as "int8" or "int4, head*=int8", or from a mapping such as {"*": "int4", "head*": "int8"}.

    A precision alone, or the pattern "*", is for all weights, wherever it stands. Raises CompileError for an unknown
    precision, two for all weights, and a pattern that the text cannot hold.
    """
    base: Storage | None = None
    overrides = []
    for pattern, name in given.items() if isinstance(given, Mapping) else _parts(given):
        storage = _storage(name)
        if pattern != ANY:
            overrides.append((_pattern(pattern), storage))
        elif base is None:
            base = storage
        else:
            raise CompileError(
                f"precision is {base.name} and {storage.name} for all weights; give one, and patterns beside it."
            )
    return PrecisionRules(base or FLOAT32, tuple(overrides))


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern with *, ? and […] matches a weight's name, or that of its layer; upper case counts."""
    return fnmatchcase(name, pattern) or fnmatchcase(layer_name(name), pattern)


def layer_name(weight: str) -> str:
    """`blocks.0.W_q` of `blocks.0.W_q.weight`."""
    return weight.removesuffix(WEIGHT_SUFFIX)


def _parts(text: str) -> Iterable[tuple[str, str]]:
    """(pattern, precision) of each part of a text."""
    for part in text.split(","):
        pattern, separator, precision = part.strip().rpartition("=")
        yield (pattern.strip(), precision.strip()) if separator else (ANY, precision)


def _storage(name: str) -> Storage:
    if name not in STORAGES:
        raise CompileError(f"precision {name!r} is not one of {', '.join(STORAGES)}.")
    return STORAGES[name]


def _pattern(pattern: str) -> str:
    if not pattern or any(character in pattern for character in ",=") or pattern != pattern.strip():
        raise CompileError(
            f"{pattern!r} is no pattern for a weight's name; write ? for a comma, an equals sign or a space."
        )
    return pattern
