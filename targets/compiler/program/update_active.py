"""States that change only where something fired are updated there alone, in place: weights that learn, rings of inputs.

An element-wise call that gives the next value of a state, `where(pre[:, None] | post[None, :], changed, W)` say, reads
and writes all of W for the few rows and columns that changed. Where `schedule/unchanged.py` proves that the rest stays
as it is, bit for bit, and the new state can lie over the old one, kernels of `schedule/active_updates.py` take its
place: they leave the rest alone.

A mask that several states share is a matrix that another call makes: what makes matrices that the update reads is put
into it, and left out where nobody else reads them.

It comes before element-wise calls are merged, which would put states of one shape into one call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from math import prod

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from astroedge.targets.boards.board_file import Target
from astroedge.targets.compiler.program.blocks import blocks_of, is_pointwise
from astroedge.targets.compiler.program.merge_elementwise import MOST_BLOCKS, has_plain_loops, join_calls
from astroedge.targets.compiler.program.step_program import KernelCall, StepProgram, Value
from astroedge.targets.schedule.active_updates import Update, active_update, column_list
from astroedge.targets.schedule.loop_nest import Expression, loads_of
from astroedge.targets.schedule.unchanged import Firing, find_firing
from astroedge.targets.schedule.vectorize import loop_nests, merged_assignments
from astroedge.targets.tir_builder import IN_PLACE, KERNEL_ATTRIBUTE

LEAST_COLUMNS, LEAST_ROWS = 32, 8
"""A test of a row costs as much as a few vectors of it."""

MOST_CHANGING = 0.25
"""Rows are listed where no more of the points can ever change; else all rows are looked at."""

MOST_CHANGED = 0.5
"""Of a state; where more changes at the firing rates that export measured, it is faster to write all of it."""

UNKNOWN = 0.1
"""How often a test holds that does not ask a spike tensor."""


def update_active(program: StepProgram, rates: Sequence[float], target: Target) -> StepProgram:
    """Let the calls of `program` that change states only where something fired touch nothing else.

    `rates` are the firing rates of its spike tensors. Where they are high the calls stay as they are.
    """
    known = dict(zip(program.spikes, rates, strict=True))
    lanes = target.family.loop_lanes(target.vector_bits)
    calls: list[KernelCall] = []
    for index, call in enumerate(program.calls):
        old = _overwritten(program, index)
        whole = call if old is None else _with_matrices(program, index, old)
        update = None if old is None else _find_update(whole, old)
        if old is None or update is None:
            calls.append(call)
            continue
        share = _share_changed(whole, update, known)
        calls += [call] if share > MOST_CHANGED else _make(whole, old, update, lanes, share)
    return replace(program, calls=_needed(program, calls))


def _needed(program: StepProgram, calls: list[KernelCall]) -> list[KernelCall]:
    """The calls, without plain ones of which nothing is read or shown any more; others may count."""
    read = {*program.outputs, *program.nexts, *program.spikes, *program.margins}
    kept = []
    for call in reversed(calls):
        if not has_plain_loops(call) or not read.isdisjoint(call.writes):
            kept.append(call)
            read.update(call.reads)
    return kept[::-1]


def _with_matrices(program: StepProgram, index: int, old: Value) -> KernelCall:
    """A call with the plain calls in it that make the matrices it reads, as far as these can be made as late as it."""
    members = [program.calls[index]]
    if not _is_matrix(old):
        return members[0]
    makers = {value: number for number, call in enumerate(program.calls) for value in call.writes}
    overwritten = {state: makers.get(new, -1) for state, new in zip(program.states, program.nexts, strict=True)}
    inside: set[Value] = set()
    pending = [value for value in members[0].reads if value in makers]
    while pending:
        value = pending.pop()
        maker = program.calls[makers[value]]
        late = all(overwritten[state] >= index for state in maker.reads if state in overwritten)
        plain = maker.product is None and has_plain_loops(maker) and len(maker.writes) == 1
        if value not in inside and plain and late and prod(value.shape) >= prod(_long(old)[-2:]):
            inside.add(value)
            members.append(maker)
            pending += [item for item in maker.reads if item in makers]
    members.sort(key=lambda call: makers[call.writes[0]])
    small = sum(sum(1 for _ in blocks_of(call.function.body)) for call in members) <= MOST_BLOCKS
    return join_calls(members, inside) if inside and small else program.calls[index]


def _overwritten(program: StepProgram, index: int) -> Value | None:
    """The state whose next value a plain call gives, if that can lie over the old one."""
    call = program.calls[index]
    if call.product is not None or KERNEL_ATTRIBUTE in (call.function.attrs or {}) or len(call.writes) != 1:
        return None
    pairs = zip(program.states, program.nexts, strict=True)
    states = [old for old, new in pairs if new is call.writes[0]]
    if len(states) != 1 or call.reads.count(states[0]) != 1:
        return None
    (old,) = states
    shown = {*program.outputs, *program.nexts, *program.spikes, *program.margins}
    later = any(old in other.reads for other in program.calls[index + 1 :])
    same = (old.shape, old.dtype) == (call.writes[0].shape, call.writes[0].dtype)
    return old if same and not later and old not in shown else None


def _long(state: Value) -> list[int]:
    """The extents of the axes that have several places."""
    return [extent for extent in state.shape if extent > 1]


def _is_matrix(state: Value) -> bool:
    """Whether it has enough rows and columns to leave some alone."""
    long = _long(state)
    return len(long) > 1 and long[-1] >= LEAST_COLUMNS and prod(long[:-1]) >= LEAST_ROWS


def _find_update(call: KernelCall, old: Value) -> Update | None:
    """The update that a call makes of a state, if it is worth leaving out what does not change."""
    long = _long(old)
    if not _is_matrix(old):
        return None
    parameters = list(call.function.params)
    if call.reads.count(old) != 1:
        return None
    place = call.reads.index(old)
    if not is_pointwise(call.function, place):
        return None
    assignments = merged_assignments(call.function)
    if len(loop_nests(assignments)) != 1 or any(item.reduced or len(item.stores) != 1 for item in assignments):
        return None
    held = {buffer: value.data for buffer, value in zip(parameters, call.reads, strict=False)}
    stored = {buffer: data for buffer, data in held.items() if data is not None}
    firing = find_firing(assignments, parameters[place], frozenset(stored))
    return None if firing is None else Update(parameters, assignments, firing, _changing(firing, stored, long))


def _changing(firing: Firing, stored: dict[tirx.Var, NDArray[np.generic]], long: list[int]) -> NDArray[np.bool_] | None:
    """The points that can change, where stored masks say so and few are left."""
    if not firing.masks or not firing.columns or firing.shared != len(long) - 2:
        return None
    masks = [stored[mask.source].astype(np.bool_).reshape(long[-2:]) for mask in firing.masks]
    changing = reduce(np.logical_and, masks)
    return changing if changing.mean() <= MOST_CHANGING else None


def _share_changed(call: KernelCall, update: Update, rates: Mapping[Value, float]) -> float:
    """How much of a state changes at the firing rates of what the tests ask."""
    values = dict(zip(update.parameters, call.reads, strict=False))

    def rate(tests: Sequence[Expression]) -> float:
        asked = {values[load.source] for test in tests for load in loads_of(test)}
        known = [rates[value] for value in asked if value in rates] or [UNKNOWN]
        return 1 - prod(1 - item for item in known) if tests else 0.0

    rows, columns = rate(update.firing.rows), rate(update.firing.columns)
    changing = 1.0 if update.changing is None else float(update.changing.mean())
    return rows + (1 - rows) * columns * changing


def _make(call: KernelCall, old: Value, update: Update, lanes: int, share: float) -> list[KernelCall]:
    """The kernels in the place of a call: a list of columns where any can fire, then the update."""
    calls: list[KernelCall] = []
    extra: tuple[Value, ...] = ()
    if update.firing.columns:
        function, read = column_list(update, lanes)
        groups = (update.streams, update.groups(lanes))
        extra = (Value(f"columns.{old.name}", groups, "int32", "computed"),) if groups[1] else ()
        extra += (Value(f"column_counts.{old.name}", (update.streams, 2), "int32", "computed"),)
        reads = tuple(call.reads[index] for index in read)
        calls.append(KernelCall(function, reads, extra, "active-columns", ("active_columns",)))
    if update.changing is not None:
        for name, array in zip(("column_starts", "column_rows"), update.row_lists(), strict=True):
            extra += (Value(f"{name}.{old.name}", array.shape, "int32", "weight", array),)
    function = active_update(update, lanes).with_attr(IN_PLACE, call.reads.index(old))
    touched = round(2 * share * old.nbytes)
    made = replace(call, function=function, reads=(*call.reads, *extra), kind="active-update", touched=touched)
    return [*calls, made]
