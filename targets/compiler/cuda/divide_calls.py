"""How a GPU makes the calls of a tick: by a function of the library, divided among all threads, or by one thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

import tvm_ffi
from tvm import tirx

from astroedge.targets.compiler.program.equal_functions import EqualFunctions
from astroedge.targets.compiler.program.step_program import OWN, KernelCall
from astroedge.targets.compiler.threads.divide_loops import PART, TeamForm, divide_loops, undivided
from astroedge.targets.cuda.library_call import IN_TURN, LIBRARY_BLOCKS, LIBRARY_FUNCTION
from astroedge.targets.cuda.scalar_lanes import scalar_lanes
from astroedge.targets.pass_list import UnknownForm

MOST_THREADS = 2**20
"""More threads than any chip runs at once."""

BLOCK_THREADS = 128

MOST_SERIAL = 5000
"""Numbers that a thread may store one after the other for one part: each takes about what a CPU takes for thirty.

So a row of 4096 passes, which is a usual size, with what stands around it."""

MOST_IN_TURN = 65_536
"""The same for all of its parts: where all threads have some, a GPU does more at once."""

SCHEDULED = ("element-wise", "copy")
"""Kinds of calls whose loops walk their results in order."""

FEW_SERIAL = 64
"""So many elements one after the other are not worth a word."""

USUAL_THREADS = 16384  # of a small chip, for what is divided among all of them


@dataclass(frozen=True)
class DeviceForm:
    """How a GPU makes a call.

    `function` is None where the library has it; else it takes two int32 after its arrays, thread and threads, if it is
    `divided`. `parts` threads have something to do. With `in_turn` thread t writes the
    elements t, t + threads and so on of the results, and no other thread does. `alone` says that one thread makes more
    than a few elements, while all others wait. `repeated` says that each block makes all of it for itself: then thread
    and threads are those of the block.
    """

    function: tirx.PrimFunc | None
    divided: bool
    parts: int
    in_turn: bool = False
    alone: bool = False
    repeated: bool = False


def divide_calls(calls: list[KernelCall]) -> list[DeviceForm]:
    """How a GPU makes each of the scheduled calls.

    Raises UnknownForm for one that can only be done by one thread, or by few, and takes these too long.
    """
    made: EqualFunctions[DeviceForm] = EqualFunctions()
    forms = [_form(call, made) for call in calls]
    repeated = [any(value.kind == OWN for value in call.writes) for call in calls]
    return [
        replace(form, in_turn=False, repeated=True) if own else form for form, own in zip(forms, repeated, strict=True)
    ]


def _form(call: KernelCall, made: EqualFunctions[DeviceForm]) -> DeviceForm:
    if LIBRARY_FUNCTION in call.function.attrs:
        threads = int(call.function.attrs[LIBRARY_BLOCKS]) * BLOCK_THREADS
        return DeviceForm(None, False, threads, bool(call.function.attrs[IN_TURN]))
    return made.get(call.function, lambda: _divided(call))


def _divided(call: KernelCall) -> DeviceForm:
    function = scalar_lanes(call.function)
    team = divide_loops(function, MOST_THREADS, in_turn=True)
    if team is None:
        form = DeviceForm(undivided(function), False, 1)
    else:
        form = DeviceForm(team.function, True, team.parts, _is_one_loop(call, team))
    assert form.function is not None
    of_part = serial_stores(form.function.body)
    longest = of_part * -(-form.parts // USUAL_THREADS)
    if (of_part > MOST_SERIAL or longest > MOST_IN_TURN) and longest > _share(call):
        raise UnknownForm(
            f"One thread of a GPU would store {longest:,} numbers one after the other ({call.kind}); use the "
            "board's CPU target."
        )
    return replace(form, alone=form.parts == 1 and longest > FEW_SERIAL)


def _is_one_loop(call: KernelCall, team: TeamForm) -> bool:
    """Whether the scheduled loops of a call are divided as one, a turn for each element of every result."""
    arrays: list[tirx.AllocBuffer] = []
    tvm_ffi.structural_walk(team.function.body, (tirx.AllocBuffer, lambda item: arrays.append(item)))
    divided = sum(item.buffer.name == PART for item in arrays)
    return call.kind in SCHEDULED and divided == 1 and all(prod(value.shape) == team.parts for value in call.writes)


def _share(call: KernelCall) -> int:
    """Elements of a thread where all of them have the same to do."""
    return sum(prod(value.shape) for value in (*call.reads, *call.writes)) // USUAL_THREADS


def serial_stores(statement: tirx.Stmt) -> int:
    """How many elements a thread stores one after the other; a loop over its own part counts once."""
    return count_in_order(statement, lambda store: 1)


def count_in_order(statement: tirx.Stmt, of_store: Callable[[tirx.BufferStore], int]) -> int:
    """What a thread's stores come to one after the other; a loop over its own part counts once."""
    if isinstance(statement, tirx.SeqStmt):
        return sum(count_in_order(part, of_store) for part in statement.seq)
    if isinstance(statement, tirx.For):
        count = int(statement.extent) if isinstance(statement.extent, tirx.IntImm) else 1
        return count * count_in_order(statement.body, of_store)
    if isinstance(statement, tirx.IfThenElse):
        cases = (statement.then_case, statement.else_case)
        return max(count_in_order(part, of_store) for part in cases if part is not None)
    if isinstance(statement, tirx.BufferStore):
        return of_store(statement)
    body = getattr(statement, "body", None)
    return 0 if body is None else count_in_order(body, of_store)
