"""Small calls between products → the same calls made by each block of threads for itself, with no wait behind them.

What a block has made itself it need not wait for: a neuron's spikes, a norm or a row of a table that every block
computes lie in its own memory, and the product behind them is in the same level. That costs every block all of the work
instead of a part, so it is done where the waits that are saved are estimated to be worth more. A state or an output is
copied from a block's own memory, each element by one thread, in a later level: all blocks read the old state before.

Requires: calls with the functions that fusion or the library gave them.
Ensures: the same values from the same operations; what a call reads of kind `OWN` was made by each block before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from tvm import tirx

from astroedge.targets.compiler.cuda.call_costs import CallCosts
from astroedge.targets.compiler.cuda.divide_calls import SCHEDULED, DeviceForm
from astroedge.targets.compiler.cuda.levels import levels_of, own_values
from astroedge.targets.compiler.program.plan_memory import Place, pack_by_lifetime
from astroedge.targets.compiler.program.step_program import OWN, KernelCall, StepProgram, Value
from astroedge.targets.cuda.library_call import ALONE, LIBRARY_FUNCTION
from astroedge.targets.families.gpu_costs import GpuCosts
from astroedge.targets.pass_list import UnknownForm

OWN_BYTES = 16_384
"""Bytes of a block's own memory: each block that a multiprocessor runs at once has as much, the library's beside it."""

MOST_OWN_BYTES = 32_768
"""More than this a chip does not give a block beside what the library's functions need."""

MOST_CALLS = 100_000
"""Calls that are looked at in all: for each choice that is compared, all calls of the step are."""

Copy: TypeAlias = Callable[[Value], tirx.PrimFunc]


@dataclass(frozen=True)
class Repeats:
    """What was chosen: how many calls each block makes for itself, and the waits of a tick before and after it.

    `barrier` is what a wait was estimated to take, `work` what the calls take longer in all, in nanoseconds.
    """

    calls: int
    before: int
    after: int
    barrier: float
    work: float

    def text(self) -> str:
        """Why, for people."""
        wait = f"with an estimated {self.barrier / 1000:.1f} µs for a wait of all blocks"
        if not self.calls:
            return f"{wait}, no call takes less than it saves when each block makes it for itself."
        calls = f"{self.calls} small call{'s' if self.calls > 1 else ''}"
        return (
            f"{wait}, each block makes {calls} for itself, which takes an estimated "
            f"{self.work / 1000:.1f} µs more a tick and saves {self.before - self.after} of {self.before} waits."
        )


def repeat_calls(
    program: StepProgram,
    forms: Sequence[DeviceForm],
    points: Mapping[Value, frozenset[Value]],
    costs: GpuCosts,
    copy: Copy,
) -> tuple[StepProgram, Repeats]:
    """Let each block make those calls of `program` for itself that save more waits than they cost.

    `forms` are those of the calls, `points` what they read at their own points (`levels.points_read`); `copy` makes the
    kernel that copies a value.
    """
    chooser = _Chooser(program, forms, points, costs, copy)
    before = chooser.waits(frozenset())
    chosen = chooser.choose()
    result = Repeats(len(chosen), before, chooser.waits(chosen), chooser.calls.barrier, chooser.work(chosen))
    return (chooser.repeated(chosen) if chosen else program), result


def place_own(calls: Sequence[KernelCall], places: dict[Value, Place], levels: Sequence[int]) -> int:
    """Place what blocks make for themselves, by the levels of the calls; returns the bytes of a block.

    Raises UnknownForm for more than a chip has; calls that take as much are not chosen, if levels are as expected.
    """
    nbytes = pack_by_lifetime(calls, places, levels, OWN, Place(OWN, 0))
    if nbytes > MOST_OWN_BYTES:
        raise UnknownForm(
            f"A block of threads would need {nbytes:,} bytes of its own, more than {MOST_OWN_BYTES:,}; use the board's "
            "CPU target."
        )
    return nbytes


class _Chooser:
    """Compares sets of calls, by their indices, that each block makes for itself."""

    def __init__(
        self,
        program: StepProgram,
        forms: Sequence[DeviceForm],
        points: Mapping[Value, frozenset[Value]],
        costs: GpuCosts,
        copy: Copy,
    ) -> None:
        self.program = program
        self.copy = copy
        self.calls = CallCosts(costs, program.calls, forms)
        self.own = {
            call.writes[0]: own_values(call, form, points) for call, form in zip(program.calls, forms, strict=True)
        }
        self.old_of = {new: old for old, new in zip(program.states, program.nexts, strict=True) if new is not old}
        self.known: dict[frozenset[int], int] = {}
        self.tries = max(20, MOST_CALLS // max(1, len(program.calls)))

    def choose(self) -> frozenset[int]:
        """All calls that each block may make, less those without which a tick takes no longer.

        What was given up while others made it useless is tried once more.
        """
        may = [index for index, call in enumerate(self.program.calls) if self._may_repeat(index, call)]
        dearest = sorted(may, key=lambda index: (-self.calls.more[index], index))
        chosen = self._without(frozenset(may), dearest)
        while chosen and self._own_bytes(chosen) > OWN_BYTES:
            chosen -= {max(chosen, key=lambda index: (self._bytes_of(index), index))}
        self.tries *= 2
        for index in may[: self.tries - len(self.known)]:
            more = chosen | {index}
            if self._time(more) < self._time(chosen) and self._own_bytes(more) <= OWN_BYTES:
                chosen = more
        self.tries *= 2
        chosen = self._without(chosen, [index for index in dearest if index in chosen])
        return chosen if self._time(chosen) < self._time(frozenset()) else frozenset()

    def waits(self, chosen: frozenset[int]) -> int:
        """How often all blocks wait in a tick."""
        if chosen not in self.known:
            self.known[chosen] = max(self._levels(self.repeated(chosen)), default=0) + 1
        return self.known[chosen]

    def work(self, chosen: Iterable[int]) -> float:
        """Nanoseconds that the calls take longer where each block makes them."""
        return sum(self.calls.more[index] for index in chosen)

    def repeated(self, chosen: frozenset[int]) -> StepProgram:
        """The program with these calls made by each block, and copies of what the host or the next tick reads."""
        shown = {*self.program.outputs, *self.program.nexts}
        own: dict[Value, Value] = {}
        calls: list[KernelCall] = []
        for index, call in enumerate(self.program.calls):
            reads = tuple(own.get(value, value) for value in call.reads)
            writes = call.writes
            if index in chosen:
                own.update((value, Value(value.name, value.shape, value.dtype, OWN)) for value in writes)
                writes = tuple(own[value] for value in writes)
            calls.append(replace(call, reads=reads, writes=writes))
        calls += [
            KernelCall(self.copy(value), (made,), (value,), "copy", ("copy",))
            for value, made in own.items()
            if value in shown
        ]
        return replace(self.program, calls=calls)

    def _may_repeat(self, index: int, call: KernelCall) -> bool:
        attributes = call.function.attrs
        in_library = LIBRARY_FUNCTION in attributes and bool(attributes[ALONE])
        plain = LIBRARY_FUNCTION not in attributes and call.kind in SCHEDULED
        small = self._bytes_of(index) <= OWN_BYTES // 2 and self.calls.more[index] < self.calls.barrier
        return (in_library or plain) and small

    def _without(self, chosen: frozenset[int], calls: list[int]) -> frozenset[int]:
        """`chosen` less those of the `calls` that save no wait, or less than they cost; found by halving."""
        if not calls or len(self.known) >= self.tries:
            return chosen
        fewer = chosen.difference(calls)
        if len(calls) == 1:
            return fewer if self._time(fewer) <= self._time(chosen) else chosen
        if self.waits(fewer) <= self.waits(chosen):
            return fewer
        middle = len(calls) // 2
        return self._without(self._without(chosen, calls[:middle]), calls[middle:])

    def _time(self, chosen: frozenset[int]) -> float:
        return self.waits(chosen) * self.calls.barrier + self.work(chosen)

    def _levels(self, program: StepProgram) -> list[int]:
        """The levels of the calls where each copy overwrites the old state."""
        copied = {call.writes[0] for call in program.calls[len(self.program.calls) :]}
        in_place = {new: self.old_of[new] for new in copied if new in self.old_of}
        own = [self.own.get(call.writes[0], frozenset()) for call in program.calls]
        return levels_of(program.calls, {}, in_place, own)

    def _bytes_of(self, index: int) -> int:
        return sum(value.nbytes for value in self.program.calls[index].writes)

    def _own_bytes(self, chosen: frozenset[int]) -> int:
        program = self.repeated(chosen)
        return pack_by_lifetime(program.calls, {}, self._levels(program), OWN, Place(OWN, 0))
