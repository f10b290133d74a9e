"""Whoever reads an old state comes before the call that makes the new one, where the graph allows it.

A graph may name the two in any order, as an associative memory that is written first and read as it was before. In this
order the new state can lie over the old one; in the other both are needed at once, and one is copied at every tick.
"""

from __future__ import annotations

from dataclasses import replace
from heapq import heapify, heappop, heappush

from astroedge.targets.compiler.program.step_program import StepProgram, Value


def read_states_first(program: StepProgram) -> StepProgram:
    """The calls of `program` in such an order, and otherwise as they are, as far as what they wait for allows."""
    order = _Order(program)
    late = [order.delay(old, new) for old, new in zip(program.states, program.nexts, strict=True)]
    return replace(program, calls=[program.calls[index] for index in order.sorted()]) if any(late) else program


class _Order:
    """What each call waits for, by the numbers of calls."""

    def __init__(self, program: StepProgram) -> None:
        calls = program.calls
        self.maker = {value: index for index, call in enumerate(calls) for value in call.writes}
        self.readers: dict[Value, list[int]] = {}
        for index, call in enumerate(calls):
            for value in dict.fromkeys(call.reads):
                self.readers.setdefault(value, []).append(index)
        self.waits_for = [{self.maker[value] for value in call.reads if value in self.maker} for call in calls]
        self.awaited_by: list[set[int]] = [set() for _ in calls]
        for index, others in enumerate(self.waits_for):
            for other in others:
                self.awaited_by[other].add(index)
        for old, new in zip(program.states, program.nexts, strict=True):
            maker = self.maker.get(new, 0)
            for reader in self.readers.get(old, []):
                if reader < maker:
                    self._add(maker, reader)

    def delay(self, old: Value, new: Value) -> bool:
        """Let the maker of a new state wait for those who read the old one after it, unless one of them needs it."""
        maker = self.maker.get(new)
        later = [reader for reader in self.readers.get(old, []) if maker is not None and reader > maker]
        if maker is None or not later or not self._after(maker).isdisjoint(later):
            return False
        for reader in later:
            self._add(maker, reader)
        return True

    def sorted(self) -> list[int]:
        """All calls, those that wait for none first, otherwise in their order."""
        waiting = [len(others) for others in self.waits_for]
        ready = [index for index, count in enumerate(waiting) if not count]
        heapify(ready)
        found = []
        while ready:
            index = heappop(ready)
            found.append(index)
            for other in self.awaited_by[index]:
                waiting[other] -= 1
                if not waiting[other]:
                    heappush(ready, other)
        return found

    def _add(self, later: int, earlier: int) -> None:
        self.waits_for[later].add(earlier)
        self.awaited_by[earlier].add(later)

    def _after(self, index: int) -> set[int]:
        """The calls that wait for one, directly or not."""
        found: set[int] = set()
        pending = [index]
        while pending:
            new = self.awaited_by[pending.pop()] - found
            found |= new
            pending += new
        return found
