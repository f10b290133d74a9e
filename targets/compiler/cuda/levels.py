"""Calls in levels: those of one level need not wait for each other, and all blocks wait once between two levels.

A call comes after what it reads has been written, and after what it overwrites has been read. Values without a place
yet are bytes of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from astroedge.targets.compiler.program.plan_memory import MemoryPlan, Place, may_overwrite
from astroedge.targets.compiler.program.step_program import KernelCall, StepProgram, Value

Places = Mapping[Value, Place]
Moments = Callable[[Sequence[KernelCall], Places], list[int]]
_CONSTANT = ("inputs", "weights")


def order_by_levels(program: StepProgram) -> tuple[StepProgram, Moments]:
    """The calls of `program` in the order of their levels, and what gives the levels of such calls.

    A call that makes a next state waits for the others that read the old one where that costs no further level: then
    it may overwrite it.
    """
    in_place: dict[Value, Value] = {}
    maker = {value: call for call in program.calls for value in call.writes}
    depth = _depth(levels_of(program.calls, {}, in_place))
    for old, new in zip(program.states, program.nexts, strict=True):
        if new is old or new not in maker or new in in_place or not may_overwrite(maker[new], old):
            continue
        calls = _readers_first(program.calls, old, maker[new], in_place)
        if calls is not None and _depth(levels_of(calls, {}, {**in_place, new: old})) <= depth:
            program = replace(program, calls=calls)
            in_place[new] = old
    levels = levels_of(program.calls, {}, in_place)
    ordered = [call for _, call in sorted(zip(levels, program.calls, strict=True), key=lambda item: item[0])]
    return replace(program, calls=ordered), lambda calls, places: levels_of(calls, places, in_place)


def sort_plan(plan: MemoryPlan) -> tuple[MemoryPlan, list[int]]:
    """The planned calls in the order of their levels, which their bytes decide now, and these levels, from 0 up."""
    levels = levels_of(plan.calls, plan.places, {})
    order = sorted(range(len(levels)), key=lambda index: levels[index])
    return replace(plan, calls=[plan.calls[index] for index in order]), [levels[index] for index in order]


def levels_of(calls: Sequence[KernelCall], places: Places, in_place: Mapping[Value, Value]) -> list[int]:
    """The first level in which each call can run, if those before it in `calls` come first where it matters.

    `in_place` are values without a place that will overwrite another one.
    """
    bytes_of = _Bytes(places, in_place)
    levels: list[int] = []
    for call in calls:
        reads = [touched for value in call.reads if (touched := bytes_of.find(value))]
        writes = [touched for value in call.writes if (touched := bytes_of.find(value))]
        before = [area.written for touched in reads for area in touched]
        before += [max(area.written, area.read) for touched in writes for area in touched]
        level = max(before, default=-1) + 1
        for own, *_ in reads:
            own.read = max(own.read, level)
        for own, *_ in writes:
            own.written = max(own.written, level)
        levels.append(level)
    return levels


class _Area:
    """Bytes that are touched together: the last level that reads and the last that writes them, −1 for none."""

    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = start, end
        self.read = self.written = -1


class _Bytes:
    """Finds the areas that a value overlaps."""

    def __init__(self, places: Places, in_place: Mapping[Value, Value]) -> None:
        self.places = places
        self.in_place = in_place
        self.areas: dict[object, list[_Area]] = {}
        self.found: dict[Value, list[_Area]] = {}

    def find(self, value: Value) -> list[_Area]:
        """The area of a value and then those of others that overlap it; none for what is never written."""
        value = self.in_place.get(value, value) if value not in self.places else value
        if value.kind in ("input", "weight"):
            return []
        if value not in self.places:
            return self.found.setdefault(value, [_Area(0, value.nbytes)])
        place = self.places[value]
        if place.buffer in _CONSTANT:
            return []
        return self._overlapping(place, value)

    def _overlapping(self, place: Place, value: Value) -> list[_Area]:
        start, end = place.offset, place.offset + value.nbytes
        areas = self.areas.setdefault(place.buffer, [])
        own = next((area for area in areas if (area.start, area.end) == (start, end)), None)
        if own is None:
            own = _Area(start, end)
            areas.append(own)
        return [own, *(area for area in areas if area is not own and area.start < end and start < area.end)]


def _depth(levels: list[int]) -> int:
    return max(levels, default=-1) + 1


def _readers_first(
    calls: list[KernelCall], old: Value, maker: KernelCall, in_place: Mapping[Value, Value]
) -> list[KernelCall] | None:
    """The calls with those that read `old` before `maker`; None where one of them waits for `maker`."""
    at = next(index for index, call in enumerate(calls) if call is maker)
    made, read = set(maker.writes), set(maker.reads)
    first: list[KernelCall] = []
    then: list[KernelCall] = []
    for call in calls[at + 1 :]:
        overwritten = {in_place[value] for value in call.writes if value in in_place}
        if made.isdisjoint(call.reads) and read.isdisjoint(overwritten):
            first.append(call)
            continue
        if old in call.reads:
            return None
        made.update(call.writes)
        read.update(call.reads)
        then.append(call)
    return [*calls[:at], *first, maker, *then]
