"""Where the threads of a team wait for each other, and which calls they divide alike so as not to.

Between two calls that touch the same bytes, one of them writing, comes a point at which threads wait (`shim/team.c` has
its three kinds), unless one thread alone does both or an earlier point is enough. Values that share bytes one after the
other depend on each other, too: only places count here, not names.

Nor need threads wait between calls that are divided alike, if each thread reads only what it wrote itself
(`own_parts`): calls that follow a divided one so are divided with it, however small.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import gcd
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from astroedge.targets.compiler.program.plan_memory import Place
    from astroedge.targets.compiler.program.step_program import KernelCall, Value
    from astroedge.targets.compiler.threads.own_parts import OwnParts

RELEASE, GATHER, MEET = "release", "gather", "meet"
_CONSTANT = ("inputs", "weights")
LEAST_UNITS = 8  # of calls that are divided alike: no fewer than most boards have threads


Range: TypeAlias = tuple[str, int, int]  # a buffer, and from where to where


@dataclass(eq=False)
class Strip:
    """Calls that are divided alike, in so many `units`; 0 of a call that cannot be, which follows nothing."""

    units: int
    calls: list[KernelCall]


@dataclass(frozen=True)
class Ordered:
    """What comes before a call, if anything, whether threads divide it, and which calls are divided like it."""

    point: str | None
    shared: bool
    strip: Strip

    @property
    def units(self) -> int | None:
        """In how many units a call is divided with others; None of one that stands alone."""
        return self.strip.units if len(self.strip.calls) > 1 else None


def order_calls(
    calls: Sequence[KernelCall],
    divided: Sequence[bool],
    places: Mapping[Value, Place],
    owns: Sequence[OwnParts | None],
    alike: Mapping[int, int] | None = None,
) -> list[Ordered]:
    """Where threads wait in the calls of a tick, of which those that are `divided` are divided anyhow.

    `alike` says of calls, by their numbers, like which earlier one they have to be divided.
    """
    order = _Order()
    steps = [_Step.of(call, places, shared, own) for call, shared, own in zip(calls, divided, owns, strict=True)]
    points: list[str | None] = []
    for index, step in enumerate(steps):
        model = None if alike is None else alike.get(index)
        points.append(order.add(step, None if model is None else steps[model].strip))
    return [Ordered(point, step.shared, step.strip) for point, step in zip(points, steps, strict=True)]


def ranges_of(values: Sequence[Value], places: Mapping[Value, Place]) -> list[Range]:
    """The bytes of values."""
    located = [(places[value], value.nbytes) for value in values]
    return [(place.buffer, place.offset, place.offset + size) for place, size in located]


def overlap(one: Range, two: Range) -> bool:
    """Whether two ranges share bytes."""
    return one[0] == two[0] and one[1] < two[2] and two[1] < one[2]


@dataclass(eq=False)
class _Step:
    """A call as far as its order matters, and who knows that it is done: thread 0, and all the others.

    Of the ranges in `own`, each iteration of its outermost loop touches its own part alone.
    """

    reads: list[Range]
    writes: list[Range]
    shared: bool
    own: set[Range]
    strip: Strip
    first_knows: bool = field(init=False)
    others_know: bool = False

    def __post_init__(self) -> None:
        self.first_knows = not self.shared

    @staticmethod
    def of(call: KernelCall, places: Mapping[Value, Place], shared: bool, own: OwnParts | None) -> _Step:
        """The step of a call."""
        ranges = ranges_of((*call.reads, *call.writes), places)
        count = len(call.reads)
        mine = set() if own is None else {ranges[index] for index in own.operands}
        others = {item for index, item in enumerate(ranges) if own is None or index not in own.operands}
        reads = [item for item in ranges[:count] if item[0] not in _CONSTANT]
        return _Step(reads, ranges[count:], shared, mine - others, Strip(0 if own is None else own.iterations, [call]))

    def depends_on(self, other: _Step) -> bool:
        return any(True for _ in self.conflicts(other))

    def conflicts(self, other: _Step) -> Iterator[tuple[Range, Range]]:
        """The ranges of this step and of an earlier one that share bytes, one of them written."""
        for ours, theirs in ((self.reads, other.writes), (self.writes, other.writes), (self.writes, other.reads)):
            yield from ((one, two) for one in ours for two in theirs if overlap(one, two))

    def follows(self, other: _Step) -> bool:
        """Whether each thread needs of the other call only what it does itself, if both are divided alike."""
        return other.shared and all(
            one == two and one in self.own and two in other.own for one, two in self.conflicts(other)
        )

    def join(self, strip: Strip) -> None:
        """Be divided like the calls of a strip."""
        strip.units = gcd(strip.units, self.strip.units)
        strip.calls += self.strip.calls
        self.strip, self.shared, self.first_knows = strip, True, False


class _Order:
    """The calls so far that not every thread knows to be done."""

    def __init__(self) -> None:
        self.open: list[_Step] = []

    def add(self, step: _Step, strip: Strip | None = None) -> str | None:
        """Append a call; returns the point that it needs.

        It is divided like the calls of `strip`, if that is given, and else like those before it if that spares a point.
        """
        needed = [other for other in self.open if step.depends_on(other)]
        strips = {id(other.strip): other.strip for other in needed}
        if strip is not None:
            needed = [other for other in needed if other.strip is not strip or not step.follows(other)]
            step.join(strip)
        elif len(strips) == 1 and all(map(step.follows, needed)):
            (strip,) = strips.values()
            if gcd(strip.units, step.strip.units) >= LEAST_UNITS:
                step.join(strip)
                needed = []
        point = self._point(step, needed)
        for other in self.open:
            if point == RELEASE:
                other.others_know = other.first_knows
            elif point == GATHER:
                other.first_knows = True
            elif point == MEET:
                other.first_knows = other.others_know = True
        self.open = [other for other in self.open if not (other.first_knows and other.others_know)]
        self.open.append(step)
        return point

    @staticmethod
    def _point(step: _Step, needed: list[_Step]) -> str | None:
        first_knows = all(other.first_knows for other in needed)
        if not step.shared:
            return None if first_knows else GATHER
        if all(other.first_knows and other.others_know for other in needed):
            return None
        return RELEASE if first_knows else MEET
