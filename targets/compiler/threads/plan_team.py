"""Which calls of a tick are divided among the threads of a team, and where the threads wait for each other.

All threads walk through the same calls. One that is worth it is divided (`divide_loops`), each thread doing its part;
every other one is left to thread 0. Between two calls that touch the same bytes, one of them writing, comes a point at
which threads wait (`shim/team.c` has its three kinds), unless one thread alone does both or an earlier point is enough.

Values that share bytes one after the other depend on each other, too: only places count here, not names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from astroedge.abi.limits import MAX_THREADS
from astroedge.targets.compiler.threads.divide_loops import TeamForm, divide_loops

if TYPE_CHECKING:
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
    forms = [divide_loops(call.divided or call.function) if is_large(call) else None for call in plan.calls]
    divided = [call for call, form in zip(plan.calls, forms, strict=True) if form is not None]
    if not are_worth_a_team(divided):
        return None
    points = points_between(plan.calls, [form is not None for form in forms], plan.places)
    calls = [TeamCall(*item) for item in zip(plan.calls, forms, points, strict=True)]
    threads = min(MAX_THREADS, max(form.parts for form in forms if form is not None))
    worth = sum(map(touched_bytes, divided)) // BYTES_FOR_A_THREAD
    return TeamPlan(calls, threads, min(threads, worth) if worth > 1 else 1)


def is_large(call: KernelCall) -> bool:
    """Whether dividing a call gains more than the waiting costs."""
    return touched_bytes(call) >= SHARED_BYTES


def are_worth_a_team(calls: list[KernelCall]) -> bool:
    """Whether these calls, divided, are worth a second tick in the library."""
    return sum(map(touched_bytes, calls)) >= TEAM_BYTES


def points_between(calls: list[KernelCall], divided: list[bool], places: dict[Value, Place]) -> list[str | None]:
    """The point before each call, if threads have to wait there."""
    order = _Order()
    return [order.add(_Step.of(call, places, shared)) for call, shared in zip(calls, divided, strict=True)]


def touched_bytes(call: KernelCall) -> int:
    """About how many bytes a call reads and writes, as it says itself or by the sizes of its operands."""
    if call.touched is not None:
        return call.touched
    written = sum(value.nbytes for value in call.writes)
    whole = call.kind in _WHOLE_READS
    return written + sum(value.nbytes if whole else min(value.nbytes, written) for value in call.reads)


@dataclass(eq=False)
class _Step:
    """A call as far as its order matters, and who knows that it is done: thread 0, and all the others."""

    reads: list[tuple[str, int, int]]
    writes: list[tuple[str, int, int]]
    shared: bool
    first_knows: bool
    others_know: bool = False

    @staticmethod
    def of(call: KernelCall, places: dict[Value, Place], shared: bool) -> _Step:
        def ranges(values: tuple[Value, ...]) -> list[tuple[str, int, int]]:
            located = [(places[value], value.nbytes) for value in values]
            return [(place.buffer, place.offset, place.offset + size) for place, size in located]

        reads = [item for item in ranges(call.reads) if item[0] not in _CONSTANT]
        return _Step(reads, ranges(call.writes), shared, first_knows=not shared)

    def depends_on(self, other: _Step) -> bool:
        return (
            _overlap(self.reads, other.writes)
            or _overlap(self.writes, other.writes)
            or _overlap(self.writes, other.reads)
        )


class _Order:
    """The calls so far that not every thread knows to be done."""

    def __init__(self) -> None:
        self.open: list[_Step] = []

    def add(self, step: _Step) -> str | None:
        """Append a call; returns the kind of point that it needs before it."""
        needed = [other for other in self.open if step.depends_on(other)]
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


def _overlap(left: list[tuple[str, int, int]], right: list[tuple[str, int, int]]) -> bool:
    return any(
        buffer == other and start < other_end and other_start < end
        for buffer, start, end in left
        for other, other_start, other_end in right
    )
