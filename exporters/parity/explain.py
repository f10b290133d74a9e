"""The search for decisions that, made the other way within rounding, give the results wanted.

Only results show. A network may have hundreds of decisions exactly on their edge and one that PyTorch made the other
way, so the search goes from results that differ back to what they depend on: the result that depends on the fewest
decisions first, and of those decisions first the elements at the same place as those that differ (a neuron and its own
membrane), then any, by halves, leaving out every group that changes nothing where results differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from astroedge.exporters.graph.find_decisions import Decision
from astroedge.exporters.parity.edges import scale, sides
from astroedge.exporters.parity.firing_rates import Array, Tick

MAX_TRIALS = 400  # runs of one tick with some decisions made the other way

Element = tuple[str, int]
"""A decision's value name and a flat index into it."""
Flips = dict[Element, bool | int | float]
"""The elements that are decided otherwise, with what they are then."""
Progress = tuple[float, ...]
"""How much of each result differs, the result that depends on the fewest decisions first."""


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
    element is beyond tolerance, flat, 0 where it agrees. `results` are the names of the results, `behind` the
    decisions that each depends on.
    """

    decisions: Sequence[Decision]
    results: Sequence[str]
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
        self._order = sorted(problem.results, key=lambda name: len(problem.behind.get(name, ())))
        self._trials = 0

    def explain(self) -> tuple[Flips, Tick] | None:
        """The decisions to take over and the tick with them; None if none were found that explain every result."""
        while (target := self._first_wrong()) is not None:
            behind = self._problem.behind.get(target, frozenset())
            decisions = [item for item in self._problem.decisions if item.tensor in behind]
            found = list(borderline(decisions, self._values, self._problem.tolerance))
            if not (self._try_same_place(target, decisions, found) or self._try_halves(target, found)):
                return None
        return self._flips, self._values

    def _first_wrong(self) -> str | None:
        """The result that differs and depends on the fewest decisions."""
        return next((name for name in self._order if self._problem.wrong(name, self._values[name]).any()), None)

    def _progress(self, values: Tick) -> Progress:
        """What is still wrong: for each result, how many elements, then by how much."""
        found: list[float] = []
        for name in self._order:
            wrong = self._problem.wrong(name, values[name])
            finite = np.minimum(wrong, 1e30)
            found += [float(np.count_nonzero(wrong)), float(np.sum(np.square(finite)))]
        return tuple(found)

    def _try(self, group: Sequence[Borderline]) -> Tick | None:
        """The tick with a group made otherwise, kept if less is wrong then; None when there were too many trials."""
        if self._trials >= MAX_TRIALS:
            return None
        self._trials += 1
        trial = dict(self._flips)
        for item in group:
            if item.element in trial:
                del trial[item.element]
            else:
                trial[item.element] = item.other
        values = self._problem.run(trial)
        if self._progress(values) < self._progress(self._values):
            self._flips, self._values = trial, values
        return values

    def _try_same_place(self, target: str, decisions: Sequence[Decision], found: Sequence[Borderline]) -> bool:
        """Try the elements at the places that differ in `target`, of the decision next to it first."""
        wrong = set(np.flatnonzero(self._problem.wrong(target, self._values[target])).tolist())
        size = self._values[target].size
        for decision in reversed(decisions):
            if self._values[decision.tensor].size != size:
                continue
            here = [item for item in found if item.element[0] == decision.tensor and item.element[1] in wrong]
            for side in sorted({item.side for item in here}):
                if self._improves([item for item in here if item.side == side]):
                    return True
        return False

    def _try_halves(self, target: str, found: Sequence[Borderline]) -> bool:
        """Try groups of elements and their halves, as long as they change what differs in `target`."""
        waiting = [list(found)] if found else []
        while waiting:
            group = waiting.pop()
            before = self._values
            after = self._try(group)
            if after is None:
                return False
            if self._values is after:
                return True
            wrong = self._problem.wrong(target, before[target]) != 0
            touched = before[target].reshape(-1)[wrong] != after[target].reshape(-1)[wrong]
            if touched.any() and len(group) > 1:
                half = len(group) // 2
                waiting += [group[half:], group[:half]]
        return False

    def _improves(self, group: Sequence[Borderline]) -> bool:
        after = self._try(group)
        return after is not None and self._values is after
