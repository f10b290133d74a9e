"""The search for decisions that, made the other way within rounding, give the results wanted.

Only results show. A network may have hundreds of decisions exactly on their edge and one that PyTorch made the other
way, so the search goes from results that differ back to what they depend on: the results that depend on the fewest
decisions first, and of those decisions first the elements at the same place as those that differ (a neuron and its own
membrane), then any, by halves of the group that moves the results most towards what is wanted. Whatever makes less
wrong is kept and may be taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from astroedge.exporters.graph.find_decisions import Decision
from astroedge.exporters.parity.edges import scale, sides
from astroedge.exporters.parity.firing_rates import Array, Tick

MAX_TRIALS = 400  # runs of one tick with some decisions made the other way
LARGEST = 1e30  # a difference for one that is infinite, so that sums of squares stay finite

Element = tuple[str, int]
"""A decision's value name and a flat index into it."""
Flips = dict[Element, bool | int | float]
"""The elements that are decided otherwise, with what they are then."""
Progress = tuple[float, ...]
"""How wrong results are, those that depend on the fewest decisions first; those on the same ones together."""


@dataclass(frozen=True)
class Borderline:
    """An element that rounding may decide: where, what it is on the other side, and which of its sides that is."""

    element: Element
    other: bool | int | float
    side: int


@dataclass
class Problem:
    """One tick to explain.

    `run` makes a tick with some decisions made otherwise; `wrong` gives, for a result's name and value, how far each
    element is beyond tolerance, flat, 0 where it agrees. `wanted` are the results wanted, by name, `behind` the
    decisions that each depends on.
    """

    decisions: Sequence[Decision]
    wanted: Tick
    behind: Mapping[str, frozenset[str]]
    run: Callable[[Flips], Tick]
    wrong: Callable[[str, Array], Array]
    tolerance: float


def borderline(decisions: Sequence[Decision], values: Tick, tolerance: float) -> Iterator[Borderline]:
    """The elements that rounding may decide, in graph order."""
    for item in decisions:
        if item.exact:
            continue
        limit = tolerance * scale(item, values)
        for number, (margins, others) in enumerate(sides(item, values)):
            flat, other = margins.reshape(-1), others.reshape(-1)
            for place in np.flatnonzero(flat <= limit).tolist():
                yield Borderline((item.tensor, place), other[place].item(), number)


class Search:
    """The search for one tick."""

    def __init__(self, problem: Problem, values: Tick) -> None:
        """Begin with what the step decides itself, `values`."""
        self._problem = problem
        self._flips: Flips = {}
        self._values = values
        self._trials = 0
        levels: dict[frozenset[str], list[str]] = {}
        for name in problem.wanted:
            levels.setdefault(problem.behind.get(name, frozenset()), []).append(name)
        self._levels = sorted(levels.items(), key=lambda level: len(level[0]))

    def explain(self) -> tuple[Flips, Tick] | None:
        """The decisions to take over and the tick with them; None if none were found that explain every result."""
        while any(self._progress(self._values)):
            behind, results = next(level for level in self._levels if self._wrong(level[1], self._values))
            decisions = [item for item in self._problem.decisions if item.tensor in behind]
            found = list(borderline(decisions, self._values, self._problem.tolerance))
            if not (self._try_same_place(results, decisions, found) or self._try_halves(results, found)):
                return None
        return self._flips, self._values

    def _wrong(self, results: Sequence[str], values: Tick) -> float:
        """How wrong some results are together: the sum of squares of what is beyond tolerance."""
        beyond = (np.minimum(self._problem.wrong(name, values[name]), LARGEST) for name in results)
        return float(sum(np.sum(np.square(item)) for item in beyond))

    def _progress(self, values: Tick) -> Progress:
        return tuple(self._wrong(results, values) for _, results in self._levels)

    def _try(self, group: Sequence[Borderline]) -> Tick | None:
        """The tick with a group made otherwise, kept if less is wrong then; None when there were too many trials."""
        if self._trials >= MAX_TRIALS:
            return None
        self._trials += 1
        trial = dict(self._flips)
        for item in group:
            if item.element in self._flips:
                trial.pop(item.element, None)
            else:
                trial[item.element] = item.other
        values = self._problem.run(trial)
        if self._progress(values) < self._progress(self._values):
            self._flips, self._values = trial, values
        return values

    def _try_same_place(
        self, results: Sequence[str], decisions: Sequence[Decision], found: Sequence[Borderline]
    ) -> bool:
        """Try the elements at the places that differ in a result, of the decision next to it first."""
        for name in results:
            wrong = set(np.flatnonzero(self._problem.wrong(name, self._values[name])).tolist())
            for decision in reversed(decisions):
                if not wrong or self._values[decision.tensor].size != self._values[name].size:
                    continue
                here = [item for item in found if item.element[0] == decision.tensor and item.element[1] in wrong]
                for side in sorted({item.side for item in here}):
                    before = self._values
                    self._try([item for item in here if item.side == side])
                    if self._values is not before:
                        return True
        return False

    def _try_halves(self, results: Sequence[str], found: Sequence[Borderline]) -> bool:
        """Try all elements, then halves of the group that moves `results` most towards what is wanted, and so on."""
        before, tested = self._values, list[tuple[float, Sequence[Borderline]]]()
        parts: list[Sequence[Borderline]] = [found] if found else []
        while parts:
            for part in parts:
                after = self._try(part)
                if after is None or self._values is not before:
                    return after is not None
                share = self._share(results, before, after)
                if share is not None and len(part) > 1:
                    tested.append((share / len(part) ** 0.5, part))
            _, group = tested.pop(max(range(len(tested)), key=lambda at: tested[at][0])) if tested else (0.0, ())
            half = len(group) // 2
            parts = [part for part in (group[:half], group[half:]) if part]
        return False

    def _share(self, results: Sequence[str], before: Tick, after: Tick) -> float | None:
        """How much of what is wrong in `results` a change makes up for; None for one that changes nothing there.

        That is the part of the change along the difference, relative to it: 1 for the one flip that explains it, about
        0 for any other. Those others add up like a random walk, so whoever compares groups divides by its length.
        """
        along, length, touched = 0.0, 0.0, False
        for name in results:
            old = before[name].astype(np.float64)
            gap = np.nan_to_num(self._problem.wanted[name].astype(np.float64) - old)
            gap[self._problem.wrong(name, before[name]).reshape(gap.shape) == 0] = 0
            change = np.nan_to_num(after[name].astype(np.float64) - old)
            along, length = along + float(np.sum(gap * change)), length + float(np.sum(gap * gap))
            touched = touched or bool(np.any((gap != 0) & (change != 0)))
        return along / max(length, np.finfo(np.float64).tiny) if touched else None
