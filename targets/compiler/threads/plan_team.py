"""Which calls of a tick are divided among the threads of a team.

All threads walk through the same calls. One that is worth it is divided (`divide_loops`), each thread doing its part;
every other one is left to thread 0, but for those that `order_calls` finds to cost no waiting if they are divided like
what they follow, and for updates that `defer_updates` leaves to the other threads, with what reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from astroedge.abi.limits import MAX_THREADS
from astroedge.targets.compiler.threads.call_sizes import are_worth_a_team, is_large, touched_bytes
from astroedge.targets.compiler.threads.defer_updates import TeamOrder, defer_updates
from astroedge.targets.compiler.threads.divide_loops import TeamForm, divide_loops, divide_outermost
from astroedge.targets.compiler.threads.order_calls import Ordered, order_calls
from astroedge.targets.compiler.threads.own_parts import OwnParts, own_parts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tvm import tirx

    from astroedge.targets.compiler.program.plan_memory import MemoryPlan, Place
    from astroedge.targets.compiler.program.step_program import KernelCall, Value

# A sleeping thread takes some 50 µs to wake up: where the host leaves the choice, each thread should have more to do.
BYTES_FOR_A_THREAD = 4 * 1024 * 1024
_FOLLOWING = ("element-wise", "event-gemv")


@dataclass(frozen=True)
class TeamCall:
    """A call of the tick: `form` is None if thread 0 makes it alone; `point` is what lies before it, if anything.

    If it is left to the `others`, it is divided among all threads but thread 0.
    """

    call: KernelCall
    form: TeamForm | None
    point: str | None
    others: bool = False


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
    calls = _draft(plan).team_calls()
    threads = min(MAX_THREADS, max(form.parts for form in forms if form is not None))
    worth = sum(map(touched_bytes, divided)) // BYTES_FOR_A_THREAD
    return TeamPlan(calls, threads, min(threads, worth) if worth > 1 else 1)


def _draft(plan: MemoryPlan) -> _Draft:
    """The tick with all updates split that may be, but those whose parts would wait for each other."""
    unsplit = _Draft.of(TeamOrder(plan.calls, {}, {}), plan.places)
    whole: set[int] = set()
    while True:
        order = defer_updates(plan.calls, unsplit.ordered, plan.places, whole)
        if not order.split:
            return unsplit
        draft = _Draft.of(order, plan.places)
        misfits = draft.misfits()
        if not misfits:
            return draft
        whole |= misfits


@dataclass(frozen=True)
class _Draft:
    """A way to divide a tick: what each call is divided into at most, and where threads wait."""

    order: TeamOrder
    forms: list[TeamForm | None]
    owns: list[OwnParts | None]
    ordered: list[Ordered]

    @staticmethod
    def of(order: TeamOrder, places: Mapping[Value, Place]) -> _Draft:
        """Divide what is large, and what costs no waiting."""
        calls = order.calls
        forms = [divide_loops(_divided(call)) if is_large(call) else None for call in calls]
        owns = [own_parts(_divided(call)) for call in calls]
        divided = [form is not None for form in forms]
        return _Draft(order, forms, owns, order_calls(calls, divided, places, owns, order.alike))

    def misfits(self) -> set[int]:
        """The updates that are not divided as meant: into parts divided alike, which wait for nothing in between.

        With them goes what follows the rows that are read, and nothing large: it would be left to too few threads.
        """
        return {update for update, parts in self.order.split.items() if not self._fits(*parts)}

    def _fits(self, first: int, answer: int) -> bool:
        calls, ordered, alike = self.order.calls, self.ordered, self.order.alike
        strip = ordered[first].strip
        slices = [number for number, like in alike.items() if like == first]
        meant = {id(calls[number]) for number in (first, *slices)}
        return (
            strip.calls[0] is calls[first]
            and ordered[answer].strip is strip
            and not any(is_large(call) and id(call) not in meant for call in strip.calls)
            and all(ordered[number].point is None for number in slices)
        )

    def team_calls(self) -> list[TeamCall]:
        """The calls with what each is divided into."""
        others = {id(self.ordered[first].strip) for first, _ in self.order.split.values()}
        made = []
        for call, form, own, item in zip(self.order.calls, self.forms, self.owns, self.ordered, strict=True):
            alike = (
                None if own is None or item.units is None else divide_outermost(_divided(call), own.loop, item.units)
            )
            made.append(TeamCall(call, alike or form, item.point, id(item.strip) in others))
        return made


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
