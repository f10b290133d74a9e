"""Calls in levels: those of one level need not wait for each other, and all blocks wait once between two levels.

A call comes after what it reads has been written, and after what it overwrites has been read. Values without a place
yet are bytes of their own. What each block makes for itself (`repeat_calls.py`) it may read in the same level.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from math import prod

from astroedge.targets.compiler.cuda.divide_calls import DeviceForm
from astroedge.targets.compiler.program.blocks import is_pointwise
from astroedge.targets.compiler.program.plan_memory import MemoryPlan, Place, may_overwrite
from astroedge.targets.compiler.program.step_program import OWN, KernelCall, StepProgram, Value

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


def points_read(calls: Sequence[KernelCall]) -> dict[Value, frozenset[Value]]:
    """What each unscheduled call reads only at the element that it writes, by the first value that it writes."""
    return {call.writes[0]: frozenset(value for value in call.reads if _at_points(call, value)) for call in calls}


def _at_points(call: KernelCall, value: Value) -> bool:
    places = [place for place, other in enumerate(call.reads) if other is value]
    return value.kind != "weight" and all(is_pointwise(call.function, place) for place in places)


def sort_plan(
    plan: MemoryPlan, forms: Sequence[DeviceForm], points: Mapping[Value, frozenset[Value]]
) -> tuple[MemoryPlan, list[DeviceForm], list[int]]:
    """Sort the planned calls by their levels, which their bytes decide now; the levels count from 0.

    What a thread makes and reads at its own elements only, `points` of a call of the `forms` in turn, it need not wait
    for: such calls stand in one level, one behind the other.
    """
    own = [own_values(call, form, points) for call, form in zip(plan.calls, forms, strict=True)]
    levels = levels_of(plan.calls, plan.places, {}, own)
    order = sorted(range(len(levels)), key=lambda index: levels[index])
    sorted_plan = replace(plan, calls=[plan.calls[index] for index in order])
    return sorted_plan, [forms[index] for index in order], [levels[index] for index in order]


def own_values(call: KernelCall, form: DeviceForm, points: Mapping[Value, frozenset[Value]]) -> frozenset[Value]:
    """The values of which every thread touches its own elements alone: t, t + threads and so on."""
    if not form.in_turn:
        return frozenset()
    read = points.get(call.writes[0], frozenset()) if form.function is not None else frozenset()
    size = prod(call.writes[0].shape)
    return frozenset(call.writes) | {value for value in read if prod(value.shape) == size}


def levels_of(
    calls: Sequence[KernelCall],
    places: Places,
    in_place: Mapping[Value, Value],
    own_values: Sequence[frozenset[Value]] = (),
) -> list[int]:
    """The first level in which each call can run, if those before it in `calls` come first where it matters.

    `in_place` are values without a place that will overwrite another one; `own_values` those of each call that every
    thread touches at its own elements alone.
    """
    bytes_of = _Bytes(places, in_place)
    levels: list[int] = []
    made: dict[Value, int] = {}
    none: frozenset[Value] = frozenset()
    for call, own in zip(calls, own_values or repeat(none), strict=False):
        reads = [(touched, _elements(value, own)) for value in call.reads if (touched := bytes_of.find(value))]
        writes = [(touched, _elements(value, own)) for value in call.writes if (touched := bytes_of.find(value))]
        level = max((made[value] for value in call.reads if value.kind == OWN), default=0)
        for (first, *others), elements in reads:
            level = max([level, first.written.next_of(elements), *(area.written.next_of(0) for area in others)])
        for (first, *others), elements in writes:
            level = max(level, first.written.next_of(elements), first.read.next_of(elements))
            level = max([level, *(max(area.written.next_of(0), area.read.next_of(0)) for area in others)])
        made.update((value, level) for value in call.writes if value.kind == OWN)
        for (first, *_), elements in reads:
            first.read.add(elements, level)
        for (first, *_), elements in writes:
            first.written.add(elements, level)
        levels.append(level)
    return levels


def _elements(value: Value, own: frozenset[Value]) -> int:
    """How many elements a value has of which each thread touches its own, 0 for any other use."""
    return prod(value.shape) if value in own else 0


class _Uses:
    """The last level in which bytes were used in each way: as so many elements, each by its own thread, or (0) else."""

    def __init__(self) -> None:
        self.last: dict[int, int] = {}

    def add(self, elements: int, level: int) -> None:
        """Note a use."""
        self.last[elements] = max(self.last.get(elements, -1), level)

    def next_of(self, elements: int) -> int:
        """The level of what has to come after all these uses: the same where each thread meets its own elements."""
        alike = [level + (elements == 0 or elements != other) for other, level in self.last.items()]
        return max(alike, default=0)


class _Area:
    """Bytes that are touched together, and when."""

    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = start, end
        self.read, self.written = _Uses(), _Uses()


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
        if value.kind in ("input", "weight", OWN):
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
