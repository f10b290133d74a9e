"""Where every value lives: five flat buffers, state in place where its last reader allows it.

A next state is written straight over the old one when nobody reads the old one afterwards; the call that writes it may
itself read it if it does so element by element. Every other next state (two states that swap, a shift register, an
input that becomes state) is moved at the end of the tick, in an order in which no move destroys what another still
needs. All else shares one workspace by lifetime.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain, count
from math import prod
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from astroedge.abi.limits import ALIGNMENT
from astroedge.errors import CompileError
from astroedge.targets.compiler.program.blocks import is_one_loop, is_pointwise
from astroedge.targets.compiler.program.step_program import KernelCall, StepProgram, Value
from astroedge.targets.families import ARCHITECTURES
from astroedge.targets.tir_builder import IN_PLACE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tvm import tirx

    from astroedge.targets.boards.board_file import Target

COUNTER_BYTES = 8
MOST_ELEMENTS = 2**31 - 1  # of one value: its indices are int32


Moments: TypeAlias = "Callable[[Sequence[KernelCall], Mapping[Value, Place]], Sequence[int]]"


def one_by_one(calls: Sequence[KernelCall], _places: Mapping[Value, Place]) -> Sequence[int]:
    """The moments of calls that run one after the other."""
    return range(len(calls))


@dataclass(frozen=True)
class Place:
    """A buffer ("inputs", "outputs", "state", "weights" or "workspace") and a byte offset in it."""

    buffer: str
    offset: int


@dataclass
class MemoryPlan:
    """The places of all values, the size of each buffer, and the calls with the moves that end the tick.

    `outputs` and `states` are the places of the fields that a host sees; `initial` the weight values that hold initial
    state tensors, by state name.
    """

    calls: list[KernelCall]
    places: dict[Value, Place]
    sizes: dict[str, int]
    outputs: list[Place]
    states: list[Place]
    weights: list[Value]
    initial: dict[str, Value] = field(default_factory=dict)


def plan_memory(
    program: StepProgram,
    counters: list[Value],
    initial: dict[str, np.ndarray],
    copy: Callable[[Value], tirx.PrimFunc],
    moments: Moments = one_by_one,
    apart: int = 0,
    together: Moments | None = None,
) -> MemoryPlan:
    """Place every value of `program`.

    `counters` start the workspace in order, eight bytes each; `initial` are state tensors to store beside the weights;
    `copy` makes the kernel that moves a value. `moments` says of calls, with the places known so far, when each runs:
    those of one moment run at the same time, in any order. The plan has the calls in the order of their moments. Values
    of the workspace share no bytes where that takes no more than `apart`: who shares bytes has to wait for each other.
    For the same reason what calls touch shares no bytes to which `together`, if it is given, gives the same number; the
    more it gives one, the larger the workspace.
    """
    places: dict[Value, Place] = {}
    inputs_size = _place_in_order(program.inputs, "inputs", places)
    state_places, state_size = _slots([value.nbytes for value in program.states], "state")
    output_places, outputs_size = _slots([value.nbytes for value in program.outputs], "outputs")
    places.update(zip(program.states, state_places, strict=True))
    calls = list(program.calls)
    moves = _place_next_states(program, calls, places, state_places, moments(calls, places))
    calls += _fill_outputs(program, places, output_places, copy)
    _append_moves(calls, moves, copy)
    for index, value in enumerate(counters):
        places[value] = Place("workspace", index * COUNTER_BYTES)
    calls, times = _in_order_of_time(calls, moments(calls, places))
    start = _aligned(len(counters) * COUNTER_BYTES)
    if together is not None:
        times = list(together(calls, places))
    if _workspace_bytes(calls, places) <= apart:
        times = [0] * len(calls)
    workspace = max(pack_by_lifetime(calls, places, times, "computed", Place("workspace", start)), ALIGNMENT)
    _place_parts(calls, places)
    stored = {
        name: Value(f"initial.{name}", data.shape, str(data.dtype), "weight", data) for name, data in initial.items()
    }
    weights = [*_weights_in_use(calls), *stored.values()]
    _name_apart(weights)
    weights_size = _place_in_order(weights, "weights", places)
    sizes = {
        "inputs": inputs_size, "outputs": outputs_size, "state": state_size,
        "weights": weights_size, "workspace": workspace,
    }  # fmt: skip
    return MemoryPlan(calls, places, sizes, output_places, state_places, weights, stored)


def refuse_large(plan: MemoryPlan, target: Target) -> None:
    """Refuse a step whose buffers the programs of a target could not address, or whose elements kernels cannot count.

    Raises CompileError with the size and the limit.
    """
    largest = max(plan.places, key=lambda value: prod(value.shape))
    if prod(largest.shape) > MOST_ELEMENTS:
        raise CompileError(
            f"{largest.name!r} has {prod(largest.shape):,} elements, and kernels count to {MOST_ELEMENTS:,}; let one "
            "step carry fewer streams (--batch), or make the layer smaller."
        )
    size, most = sum(plan.sizes.values()), 1 << (ARCHITECTURES[target.arch].bits - 1)
    if size >= most:
        raise CompileError(
            f"The step takes {size:,} bytes of weights and buffers, and 32-bit programs, as of {target.name}, have "
            f"room for {most:,}; store weights in fewer bits (precision='int8') or compile for a 64-bit system."
        )


@dataclass(frozen=True)
class _Move:
    """Copy `source` over the state `target` at the end of the tick."""

    source: Value
    target: Value


def _place_next_states(
    program: StepProgram,
    calls: list[KernelCall],
    places: dict[Value, Place],
    slots: list[Place],
    moments: Sequence[int],
) -> list[_Move]:
    """Put next states in place where that is safe; return the moves for the rest."""
    moves = []
    shown = {*program.outputs, *program.nexts, *program.spikes, *program.margins}
    maker = {value: index for index, call in enumerate(calls) for value in call.writes}
    readers: dict[Value, set[int]] = {}
    for index, call in enumerate(calls):
        for value in call.reads:
            readers.setdefault(value, set()).add(index)
    for old, new, slot in zip(program.states, program.nexts, slots, strict=True):
        if new is old:
            continue
        free = new.kind == "computed" and new not in places and old not in shown
        others = readers.get(old, set()) - {maker[new]} if free else set()
        last = all(moments[reader] < moments[maker[new]] for reader in others)
        if free and last and may_overwrite(calls[maker[new]], old):
            places[new] = slot
        else:
            if new.kind == "computed" and IN_PLACE in (calls[maker[new]].function.attrs or {}):
                raise CompileError(f"The update of {old.name} is not in its place; this is a defect of the compiler.")
            moves.append(_Move(new, old))
    return moves


def may_overwrite(call: KernelCall, old: Value) -> bool:
    """True when `call`, the last to read `old`, may write over it: it reads the elements that it writes alone."""
    place = call.function.attrs.get(IN_PLACE) if call.function.attrs else None
    if place is not None:
        return call.reads[int(place)] is old
    if len(call.writes) != 1 and not is_one_loop(call.function, len(call.writes)):
        return False
    return all(is_pointwise(call.function, index) for index, value in enumerate(call.reads) if value is old)


def _fill_outputs(
    program: StepProgram,
    places: dict[Value, Place],
    slots: list[Place],
    copy: Callable[[Value], tirx.PrimFunc],
) -> list[KernelCall]:
    """Let calls write outputs directly where they can; return the copies for the rest."""
    calls = []
    for value, slot in zip(program.outputs, slots, strict=True):
        if value.kind == "computed" and value not in places:
            places[value] = slot
        else:
            target = Value(f"output.{value.name}", value.shape, value.dtype, "computed")
            places[target] = slot
            calls.append(_copy_call(value, target, copy))
    return calls


def _append_moves(calls: list[KernelCall], moves: list[_Move], copy: Callable[[Value], tirx.PrimFunc]) -> None:
    """Order the moves so that no slot is overwritten while another move still reads it; a cycle needs a spare."""
    pending = list(moves)
    while pending:
        free = next((move for move in pending if not _still_read(move, pending)), None)
        if free is None:
            stuck = pending[0]
            spare = Value(f"spare.{stuck.source.name}", stuck.source.shape, stuck.source.dtype, "computed")
            calls.append(_copy_call(stuck.source, spare, copy))
            pending = [_Move(spare, move.target) if move.source is stuck.source else move for move in pending]
            continue
        calls.append(_copy_call(free.source, free.target, copy))
        pending.remove(free)


def _still_read(move: _Move, pending: list[_Move]) -> bool:
    return any(other.source is move.target for other in pending if other is not move)


def _in_order_of_time(calls: list[KernelCall], moments: Sequence[int]) -> tuple[list[KernelCall], list[int]]:
    """The calls by their moments: a copy that ends the tick may run long before, and its source be overwritten."""
    order = sorted(range(len(calls)), key=lambda index: moments[index])
    return [calls[index] for index in order], [moments[index] for index in order]


def _copy_call(source: Value, target: Value, copy: Callable[[Value], tirx.PrimFunc]) -> KernelCall:
    return KernelCall(copy(source), (source,), (target,), "copy", ("copy",))


def _workspace_bytes(calls: list[KernelCall], places: dict[Value, Place]) -> int:
    """Bytes of all values that have no place yet, none over another."""
    values = {value for call in calls for value in call.writes if value.kind == "computed" and value not in places}
    return sum(_aligned(value.nbytes) for value in values)


def pack_by_lifetime(
    calls: Sequence[KernelCall], places: dict[Value, Place], moments: Sequence[int], kind: str, first_place: Place
) -> int:
    """Place the values of a kind that have none, from `first_place` on, those alive together apart; return the end."""
    first: dict[Value, int] = {}
    last: dict[Value, int] = {}
    for moment, call in zip(moments, calls, strict=True):
        for value in (item.whole or item for item in (*call.reads, *call.writes, *call.held)):
            if value.kind == kind and value not in places:
                first.setdefault(value, moment)
                last[value] = moment
    start = end = first_place.offset
    lives = np.zeros((len(first), 2), np.int64)  # of the values that are placed, the first and the last moment
    taken = np.zeros((len(first), 2), np.int64)  # and the bytes from where to where
    for number, value in enumerate(sorted(first, key=lambda item: (-item.nbytes, first[item]))):
        beside = (lives[:number, 0] <= last[value]) & (first[value] <= lives[:number, 1])
        offset, size = start, _aligned(value.nbytes)
        for low, high in sorted(taken[:number][beside].tolist()):
            if offset + size <= low:
                break
            offset = max(offset, high)
        lives[number], taken[number] = (first[value], last[value]), (offset, offset + size)
        places[value] = Place(first_place.buffer, offset)
        end = max(end, offset + size)
    return end


def _place_parts(calls: Sequence[KernelCall], places: dict[Value, Place]) -> None:
    """Place the parts that calls read in the values that they are parts of."""
    for value in chain.from_iterable(call.reads for call in calls):
        if value.whole is not None:
            place = places[value.whole]
            places[value] = Place(place.buffer, place.offset + value.offset)


def _weights_in_use(calls: list[KernelCall]) -> list[Value]:
    """The weights some call reads, in the order of first use."""
    found: dict[Value, None] = {}
    for call in calls:
        for value in call.reads:
            if value.kind == "weight":
                found.setdefault(value)
    return list(found)


def _name_apart(values: list[Value]) -> None:
    """Give values of one name a number: a report must be able to name each."""
    taken: set[str] = set()
    for value in values:
        numbered = (f"{value.name}.{number}" for number in count(2))
        value.name = next(name for name in chain((value.name,), numbered) if name not in taken)
        taken.add(value.name)


def _place_in_order(values: list[Value], buffer: str, places: dict[Value, Place]) -> int:
    slots, size = _slots([value.nbytes for value in values], buffer)
    places.update(zip(values, slots, strict=True))
    return size


def _slots(sizes: list[int], buffer: str) -> tuple[list[Place], int]:
    """Consecutive aligned places, and the size of the buffer that holds them (never zero)."""
    offset = 0
    slots = []
    for nbytes in sizes:
        slots.append(Place(buffer, offset))
        offset += _aligned(nbytes)
    return slots, max(offset, ALIGNMENT)


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
