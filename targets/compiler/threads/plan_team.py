"""Which calls of a tick are divided among the threads of a team, and where the threads wait for each other.

All threads walk through the same calls. One that is worth it is divided (`divide_loops`), each thread doing its part;
every other one is left to thread 0. Between two calls that touch the same bytes, one of them writing, comes a point at
which threads wait (`shim/team.c` has its three kinds), unless one thread alone does both or an earlier point is enough.

Values that share bytes one after the other depend on each other, too: only places count here, not names.

Nor need threads wait between calls that are divided alike, if each thread reads only what it wrote itself
(`own_parts`): calls that follow a divided one so are divided with it, however small.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import gcd
from typing import TYPE_CHECKING, TypeAlias

from astroedge.abi.limits import MAX_THREADS
from astroedge.targets.compiler.threads.divide_loops import TeamForm, divide_loops, divide_outermost
from astroedge.targets.compiler.threads.own_parts import OwnParts, own_parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tvm import tirx

    from astroedge.targets.compiler.program.plan_memory import MemoryPlan, Place
    from astroedge.targets.compiler.program.step_program import KernelCall, Value

RELEASE, GATHER, MEET = "release", "gather", "meet"
# Two points cost some 0.3 µs, and a thread gets through 100 KiB of cached weights in 2 µs.
SHARED_BYTES = 64 * 1024
TEAM_BYTES = 512 * 1024
# A sleeping thread takes some 50 µs to wake up: where the host leaves the choice, each thread should have more to do.
BYTES_FOR_A_THREAD = 4 * 1024 * 1024
_WHOLE_READS = ("event-gemv", "dense-gemv", "pruned-gemv", "batched-matmul", "reduction")
_CONSTANT = ("inputs", "weights")
_FOLLOWING = ("element-wise", "event-gemv")
LEAST_UNITS = 8  # of calls that are divided alike: no fewer than most boards have threads


_Range: TypeAlias = tuple[str, int, int]  # a buffer, and from where to where


@dataclass(frozen=True)
class TeamCall:
    """A call of the tick: `form` is None if thread 0 makes it alone; `point` is what lies before it, if anything."""

    call: KernelCall
    form: TeamForm | None
    point: str | None


@dataclass(frozen=True)
class TeamPlan:
    """The calls of a team's tick in order; `threads` and `default_threads` are the manifest's."""

    calls: list[TeamCall]
    threads: int
    default_threads: int


def plan_team(plan: MemoryPlan) -> TeamPlan | None:
    """Divide the scheduled calls of `plan`; None for a step that is too small to gain by it."""
    forms = [divide_loops(_divided(call)) if is_large(call) else None for call in plan.calls]
    divided = [call for call, form in zip(plan.calls, forms, strict=True) if form is not None]
    if not are_worth_a_team(divided):
        return None
    owns = [own_parts(_divided(call)) for call in plan.calls]
    points, units = points_between(plan.calls, [form is not None for form in forms], plan.places, owns)
    calls = []
    for call, form, point, own, count in zip(plan.calls, forms, points, owns, units, strict=True):
        alike = None if own is None or count is None else divide_outermost(_divided(call), own.loop, count)
        calls.append(TeamCall(call, alike or form, point))
    threads = min(MAX_THREADS, max(form.parts for form in forms if form is not None))
    worth = sum(map(touched_bytes, divided)) // BYTES_FOR_A_THREAD
    return TeamPlan(calls, threads, min(threads, worth) if worth > 1 else 1)


def together_in_team(calls: Sequence[KernelCall], _places: Mapping[Value, Place]) -> Sequence[int]:
    """Which calls share no bytes, as `plan_memory` asks: those between which threads may find no need to wait.

    They are large calls beside each other that do not read what others of them write, and the small ones behind them
    that do, each of which may be divided like the one before it. A large call that follows these begins anew.
    """
    is_team = are_worth_a_team([call for call in calls if is_large(call)])
    numbers: list[int] = []
    made: set[Value] = set()  # by the calls of the same number
    only_large = False
    for call in calls:
        large, follows = is_large(call), bool(made & {value.whole or value for value in call.reads})
        continues = is_team and (only_large and not follows if large else follows and call.kind in _FOLLOWING)
        numbers.append(numbers[-1] if continues else len(numbers))
        only_large = large and (only_large or not continues)
        if not continues:
            made = set()
        if continues or large:
            made.update(call.writes)
    return numbers


def _divided(call: KernelCall) -> tirx.PrimFunc:
    """What a team divides of a call."""
    return call.divided or call.function


def is_large(call: KernelCall) -> bool:
    """Whether dividing a call gains more than the waiting costs."""
    return touched_bytes(call) >= SHARED_BYTES


def are_worth_a_team(calls: list[KernelCall]) -> bool:
    """Whether these calls, divided, are worth a second tick in the library."""
    return sum(map(touched_bytes, calls)) >= TEAM_BYTES


def points_between(
    calls: Sequence[KernelCall],
    divided: Sequence[bool],
    places: Mapping[Value, Place],
    owns: Sequence[OwnParts | None],
) -> tuple[list[str | None], list[int | None]]:
    """The point before each call, if threads have to wait there; and the units in which those divided alike are."""
    order = _Order()
    steps = [_Step.of(call, places, shared, own) for call, shared, own in zip(calls, divided, owns, strict=True)]
    points = [order.add(step) for step in steps]
    return points, [step.strip.units if step.strip.calls > 1 else None for step in steps]


def touched_bytes(call: KernelCall) -> int:
    """About how many bytes a call reads and writes, as it says itself or by the sizes of its operands."""
    if call.touched is not None:
        return call.touched
    written = sum(value.nbytes for value in call.writes)
    whole = call.kind in _WHOLE_READS
    return written + sum(value.nbytes if whole else min(value.nbytes, written) for value in call.reads)


@dataclass(eq=False)
class _Strip:
    """Calls that are divided alike, in so many `units`; 0 of a call that cannot be, which follows nothing."""

    units: int
    calls: int = 1


@dataclass(eq=False)
class _Step:
    """A call as far as its order matters, and who knows that it is done: thread 0, and all the others.

    Of the ranges in `own`, each iteration of its outermost loop touches its own part alone.
    """

    reads: list[_Range]
    writes: list[_Range]
    shared: bool
    own: set[_Range]
    strip: _Strip
    first_knows: bool = field(init=False)
    others_know: bool = False

    def __post_init__(self) -> None:
        self.first_knows = not self.shared

    @staticmethod
    def of(call: KernelCall, places: Mapping[Value, Place], shared: bool, own: OwnParts | None) -> _Step:
        """The step of a call."""
        operands = [*call.reads, *call.writes]
        located = [(places[value], value.nbytes) for value in operands]
        ranges = [(place.buffer, place.offset, place.offset + size) for place, size in located]
        count = len(call.reads)
        mine = set() if own is None else {ranges[index] for index in own.operands}
        others = {item for index, item in enumerate(ranges) if own is None or index not in own.operands}
        reads = [item for item in ranges[:count] if item[0] not in _CONSTANT]
        return _Step(reads, ranges[count:], shared, mine - others, _Strip(0 if own is None else own.iterations))

    def depends_on(self, other: _Step) -> bool:
        return any(True for _ in self.conflicts(other))

    def conflicts(self, other: _Step) -> Iterator[tuple[_Range, _Range]]:
        """The ranges of this step and of an earlier one that share bytes, one of them written."""
        for ours, theirs in ((self.reads, other.writes), (self.writes, other.writes), (self.writes, other.reads)):
            yield from ((one, two) for one in ours for two in theirs if _overlap(one, two))

    def follows(self, other: _Step) -> bool:
        """Whether each thread needs of the other call only what it does itself, if both are divided alike."""
        return other.shared and all(
            one == two and one in self.own and two in other.own for one, two in self.conflicts(other)
        )

    def join(self, strip: _Strip) -> None:
        """Be divided like the calls of a strip."""
        strip.units, strip.calls = gcd(strip.units, self.strip.units), strip.calls + 1
        self.strip, self.shared, self.first_knows = strip, True, False


class _Order:
    """The calls so far that not every thread knows to be done."""

    def __init__(self) -> None:
        self.open: list[_Step] = []

    def add(self, step: _Step) -> str | None:
        """Append a call, divided like those before it if that spares a point; returns the point that it needs."""
        needed = [other for other in self.open if step.depends_on(other)]
        strips = {id(other.strip): other.strip for other in needed}
        if len(strips) == 1 and all(map(step.follows, needed)):
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


def _overlap(one: _Range, two: _Range) -> bool:
    return one[0] == two[0] and one[1] < two[2] and two[1] < one[2]
