"""Roundings to whole numbers next to an edge, where either side is right: which ones a step decided the other way.

What a quantiser or a Floor makes of a computed value jumps where the value crosses an edge, and one rounding of float32
decides there. Behind it the difference is a whole quantum, which no tolerance follows. A tick that float64 cannot
explain otherwise is therefore searched for such elements: each is decided the other way alone, and those that together
make up for the difference are. What they decide may bring others to an edge, so this is done a few times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astroedge.session import Array
from astroedge.step.operators import operator

if TYPE_CHECKING:
    from astroedge.step.float64_step import Float64Step

ROUNDS = 4  # of decisions that bring others to an edge
CANDIDATES = 48  # tried in a round, nearest first
NEARER = (1.0, 2.0**-4, 2.0**-8)  # shares of the tolerance by which an operand is moved
Flips = dict[str, dict[int, Any]]
"""Elements by flat index, with their value on the other side of an edge, by name of the value."""


class NearTies:
    """One tick of a step in float64, with the roundings that may come out either way."""

    def __init__(self, step: Float64Step, feeds: Mapping[str, Array], randoms: Sequence[np.random.Generator]) -> None:
        """Evaluate the tick with each of `randoms`, to know which operands rounding moves at all."""
        self._step, self._feeds = step, {name: array.copy() for name, array in feeds.items()}
        self._moved: dict[str, Array] = {}
        for random in (None, *randoms):
            self._step.run(self._feeds, random, watch=self._note)

    def explain(self, ours: Mapping[str, Array], share: float) -> list[dict[str, Array]]:
        """Evaluations of the tick ever nearer to `ours`, what the step gave, by name; empty where nothing helps.

        `share` is how far rounding may move a value, as a share of max(1, its largest).
        """
        decided: Flips = {}
        found: list[dict[str, Array]] = []
        values = self._step.run(self._feeds)
        for _ in range(ROUNDS):
            rest = _Rest(ours, values, share)
            flips = [flip for flip in self._borderline(decided, share) if not _known(flip, decided)]
            if not flips or not rest.length:
                break
            flips, changes = self._tried(flips[:CANDIDATES], decided, rest)
            chosen = rest.choose(changes)
            if not chosen:
                break
            for index in chosen:
                decided = _joined(decided, flips[index])
            values = self._step.run(self._feeds, decided=decided)
            found.append(values)
        return found

    def _tried(
        self, flips: Sequence[Flips], decided: Flips, rest: _Rest
    ) -> tuple[list[Flips], list[NDArray[np.float64]]]:
        """Those of some flips with which the tick can be computed, and what each changes."""
        able, changes = [], []
        for flip in flips:
            try:
                values = self._step.run(self._feeds, decided=_joined(decided, flip))
            except Exception:  # a place that came out otherwise may lie behind a table, for one
                continue
            able.append(flip)
            changes.append(rest.change(values))
        return able, changes

    def _note(self, node: Any, operands: Sequence[Any], results: Sequence[Any]) -> None:
        """Note by how much the operand of a rounding has moved from one evaluation to the next."""
        if _rounds(node, operands, results):
            key, operand = node.output[0], np.asarray(operands[0])
            first = self._moved.setdefault(f"first {key}", operand)
            with np.errstate(invalid="ignore"):
                self._moved[key] = np.fmax(self._moved.get(key, np.zeros(operand.shape)), np.abs(operand - first))

    def _borderline(self, decided: Flips, share: float) -> list[Flips]:
        """The elements next to an edge, nearest first, as they come out on its other side."""
        found: list[tuple[int, Flips]] = []

        def look(node: Any, operands: Sequence[Any], results: Sequence[Any]) -> None:
            if _rounds(node, operands, results):
                found.extend(_other_sides(node, operands, results, share, self._moved[node.output[0]] > 0))

        self._step.run(self._feeds, decided=decided, watch=look)
        return [flips for _, flips in sorted(found, key=lambda item: -item[0])]


class _Rest:
    """What an evaluation leaves to be explained of a step's results, in tolerances."""

    def __init__(self, ours: Mapping[str, Array], values: Mapping[str, Array], share: float) -> None:
        self._names = list(ours)
        self._values = values
        self._units = {name: _unit(values[name], share) for name in self._names}
        parts = [_difference(ours[name], values[name], self._units[name]) for name in self._names]
        rest = np.concatenate([np.zeros(0), *parts])
        self._rest = np.where(np.abs(rest) > 1, rest, 0.0)
        self.length = float(self._rest @ self._rest)

    def change(self, values: Mapping[str, Array]) -> NDArray[np.float64]:
        """By how much another evaluation differs."""
        parts = [_difference(values[name], self._values[name], self._units[name]) for name in self._names]
        return np.concatenate([np.zeros(0), *parts])

    def choose(self, changes: Sequence[NDArray[np.float64]]) -> list[int]:
        """The changes that together leave least, each of which leaves less than was there before it."""
        rest, chosen = self._rest.copy(), []
        open_ = set(range(len(changes)))
        while open_:
            best = min(open_, key=lambda index: float(np.sum((rest - changes[index]) ** 2)))
            if float(np.sum((rest - changes[best]) ** 2)) >= float(rest @ rest):
                break
            rest = rest - changes[best]
            chosen.append(best)
            open_.remove(best)
        return chosen


def _rounds(node: Any, operands: Sequence[Any], results: Sequence[Any]) -> bool:
    """Whether a node makes whole numbers of floats, element by element."""
    if not operands or np.asarray(operands[0]).dtype.kind != "f" or not np.asarray(operands[0]).size:
        return False
    row = operator(node.op_type)
    whole = np.asarray(results[0]).dtype.kind in "iu" and np.shape(results[0]) == np.shape(operands[0])
    return row.kind == "staircase" or (whole and row.kind != "arg reduction")


def _other_sides(
    node: Any, operands: Sequence[Any], results: Sequence[Any], share: float, moved: NDArray[np.bool_]
) -> list[tuple[int, Flips]]:
    """Elements that come out otherwise when the operand is moved by its tolerance, with how near they are to an edge.

    An operand that no rounding moves decides for itself, unless the node rounds on the way (a division by a scale).
    Where a zero point comes out otherwise too, the whole result does.
    """
    operand = np.asarray(operands[0])
    usable = np.ones(moved.shape, np.bool_) if operator(node.op_type).rounding != "exact" else moved
    tolerance = share * max(1.0, float(np.max(np.abs(operand[np.isfinite(operand)]), initial=0.0)))
    nearness: dict[int, tuple[int, Any]] = {}
    found: list[tuple[int, Flips]] = []
    for level, nearer in enumerate(NEARER):
        for way in (tolerance * nearer, -tolerance * nearer):
            others = node.run(operand + way, *operands[1:])
            if len(others) > 1 and not np.array_equal(others[-1], results[-1]):
                found.append((level, {name: _whole(other) for name, other in zip(node.output, others, strict=True)}))
                continue
            for element in np.flatnonzero((np.asarray(others[0]) != np.asarray(results[0])) & usable).tolist():
                nearness[element] = (level, np.ravel(others[0])[element])
    found += [(level, {node.output[0]: {element: other}}) for element, (level, other) in nearness.items()]
    return found


def _whole(value: Any) -> dict[int, Any]:
    return dict(enumerate(np.ravel(value).tolist()))


def _joined(decided: Flips, flips: Flips) -> Flips:
    return {name: {**decided.get(name, {}), **flips.get(name, {})} for name in decided.keys() | flips.keys()}


def _known(flips: Flips, decided: Flips) -> bool:
    """Whether an element of these was decided before."""
    return any(elements.keys() & decided.get(name, {}).keys() for name, elements in flips.items())


def _unit(value: Array, share: float) -> NDArray[np.float64]:
    """The tolerance of each element; half for what has only whole numbers."""
    size = np.abs(np.ravel(value).astype(np.float64))
    if np.asarray(value).dtype.kind != "f":
        return np.full(size.shape, 0.5)
    return share * np.maximum(np.where(np.isfinite(size), size, 1.0), 1.0)


def _difference(one: Array, other: Array, unit: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        difference = (np.ravel(one).astype(np.float64) - np.ravel(other).astype(np.float64)) / unit
    return np.where(np.isfinite(difference), difference, 0.0)
