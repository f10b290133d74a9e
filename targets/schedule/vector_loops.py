"""Writes the loops of assignments that share their points: long runs of neighbouring elements, walked in vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any

import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir import TensorLoad
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.schedule.loop_nest import (
    Assignment,
    Axis,
    Buffer,
    Expression,
    coefficients,
    is_branch,
    offset,
    simplify,
    substitute,
)
from astroedge.targets.schedule.split_points import split_points
from astroedge.targets.tir_builder import chunks, independent, rewrite


@dataclass(frozen=True)
class Run:
    """Neighbouring axes, by position, that are walked as one of `extent` elements."""

    positions: tuple[int, ...]
    extent: int


class Nest:
    """Assignments of equal extents, computed together; `flat` has the array of every buffer that lies in memory."""

    def __init__(self, assignments: list[Assignment], flat: dict[Buffer, Buffer], lanes: int) -> None:
        first = assignments[0]
        self.axes, self.extents = first.axes, first.extents
        self.assignments = [on_axes(item, first.axes) for item in assignments]
        self.flat = flat
        self.lanes = lanes
        self.dtype = str(first.axes[0].ty.dtype) if first.axes else "int32"
        self.runs = self.find_runs()

    def emit(self, apart: bool) -> None:
        """Emit the loops: outer runs one by one, the innermost in vectors, its tail in narrower ones.

        If nothing else in the kernel reads what the nest writes (`apart`), threads may divide its points.
        """
        loop = independent if apart else partial(tir.serial, 0)
        *outer, inner = self.runs
        with ExitStack() as loops:
            places = {run: loops.enter_context(loop(self.number(run.extent))) for run in outer}
            self.emit_run(places, inner, loop)

    def emit_run(self, places: dict[Run, Expression], inner: Run, loop: Callable[[Expression], Any]) -> None:
        """Emit all of the innermost run, at the `places` of the outer ones, in such loops."""
        for start, end, items in self._pieces(inner):
            whole = (end - start) // self.lanes
            tail = start + whole * self.lanes
            if whole:
                with loop(self.number(whole)) as index:
                    first = self.number(start) + index * self.lanes
                    self.emit_vector(items, places, inner, first, self.lanes)
            if tail < end:
                with loop(self.number(1)):
                    for begin, lanes in chunks(end - tail, self.lanes):
                        self.emit_vector(items, places, inner, self.number(tail + begin), lanes)

    def number(self, value: int) -> Expression:
        """A constant of the type that the axes have."""
        return tirx.IntImm(self.dtype, value)

    def _index(self, stack: ExitStack, loop: Callable[..., Any], count: int) -> Expression:
        """Enter a loop of `count` and return its variable; a loop of one is none."""
        return stack.enter_context(loop(0, self.number(count))) if count > 1 else self.number(0)

    def find_runs(self) -> list[Run]:
        """Join each axis to the one before it where every access steps through both as through one."""
        steps, alone = self._access_steps()
        runs: list[Run] = []
        for position, extent in enumerate(self.extents):
            if extent == 1:
                continue
            joins = bool(runs) and position not in alone and alone.isdisjoint(runs[-1].positions)
            if joins and all(step[runs[-1].positions[-1]] == step[position] * extent for step in steps):
                runs[-1] = Run((*runs[-1].positions, position), runs[-1].extent * extent)
            else:
                runs.append(Run((position,), extent))
        return runs or [Run((), 1)]

    def _access_steps(self) -> tuple[list[list[int]], set[int]]:
        """The steps of every access along each axis, and the axes that a value uses in any other way."""
        steps = [[prod(self.extents[index + 1 :]) for index in range(len(self.extents))]]
        alone: set[int] = set()

        def drop(load: TensorLoad, mutator: tvm_ffi.StructuralMutator, item: Assignment) -> Expression:
            places = coefficients(offset(load.source, load.indices), item.all_axes, item.all_extents)
            if places is None:
                return mutator.default_mutate(load)
            steps.append(places[: len(self.axes)])
            return tirx.const(0, load.ty.dtype)

        for item in self.assignments:
            for _, value in item.stores:
                rest = rewrite(value, (TensorLoad, partial(drop, item=item)))
                used = _variables(rest)
                alone.update(index for index, axis in enumerate(self.axes) if any(axis.same_as(var) for var in used))
        return steps, alone

    def _pieces(self, inner: Run) -> list[tuple[int, int, list[Assignment]]]:
        """The innermost run, cut where a condition on its axis changes; the assignments simplified for each piece."""
        if len(inner.positions) != 1:
            return [(0, inner.extent, self.assignments)]
        axis = self.axes[inner.positions[0]]
        points = sorted({0, inner.extent} | split_points(self.assignments, axis, inner.extent))
        if len(points) == 2:
            return [(0, inner.extent, self.assignments)]
        return [
            (start, end, [_simplified(item, axis, start, end) for item in self.assignments])
            for start, end in pairwise(points)
        ]

    def emit_vector(
        self, items: list[Assignment], places: dict[Run, Expression], inner: Run, first: Expression, lanes: int
    ) -> None:
        """Emit the assignments for `lanes` points from `first`; each has a register, which is a small array to TVM."""
        registers = {buffer: _Register(buffer, lanes) for item in items for buffer, _ in item.stores}

        def in_lanes(item: Assignment, values: Sequence[Expression], reduced: dict[Axis, Expression]) -> None:
            own = [registers[buffer] for buffer, _ in item.stores]
            # Several values are computed from each other's old values, so none is replaced before all are there.
            fresh = own if len(own) == 1 else [_Register(buffer, lanes) for buffer, _ in item.stores]
            with ExitStack() as loop:
                lane = self._index(loop, tir.serial if self._branches(values, inner) else tir.vectorized, lanes)
                point = Point(self, {**places, inner: first + lane}, reduced)
                for register, value in zip(fresh, values, strict=True):
                    register.put(lane, point.value(item, value, registers, lane))
                if fresh is not own:
                    for register, new in zip(own, fresh, strict=True):
                        register.put(lane, new.value(lane))

        for item in items:
            if item.reduced:
                in_lanes(item, item.initial, {})
            with ExitStack() as loops:
                extents = zip(item.reduced, item.reduced_extents, strict=True)
                reduced = {axis: self._index(loops, tir.serial, extent) for axis, extent in extents}
                in_lanes(item, [value for _, value in item.stores], reduced)
        # In place, a result may lie over what another result reads: all are computed before any is stored.
        for buffer, register in registers.items():
            with ExitStack() as loop:
                lane = self._index(loop, tir.vectorized, lanes)
                Point(self, {**places, inner: first + lane}).store(buffer, register.value(lane))

    def _branches(self, values: Sequence[Expression], inner: Run) -> bool:
        """Whether lanes take branches of their own, of which each may be the only one that can be read.

        TVM takes a store of them lane by lane, but without the names that a value's functions were given before it.
        """
        axes = [self.axes[position] for position in inner.positions]
        conditions = [node.args[0] for value in values for node in _branches_of(value)]
        return any(axis.same_as(var) for axis in axes for condition in conditions for var in _variables(condition))


class _Register:
    """A vector's worth of one assignment: to TVM a small array, which LLVM keeps in a register.

    Truth values are kept as bytes; TVM mixes up the two types of an allocated truth value.
    """

    def __init__(self, buffer: Buffer, lanes: int) -> None:
        self.truth = str(buffer.ty.dtype) == "bool"
        self.array = tir.alloc_buffer((lanes,), "int8" if self.truth else buffer.ty.dtype)

    def put(self, lane: Expression, value: Expression) -> None:
        """Set one lane."""
        tir.buffer_store(self.array, tirx.Cast("int8", value) if self.truth else value, [lane])

    def value(self, lane: Expression) -> Expression:
        """One lane."""
        return self.array[lane] != tirx.const(0, "int8") if self.truth else self.array[lane]


class Point:
    """Where a vector lies: the place along each run, and along the reduced axes inside a reduction."""

    def __init__(
        self, nest: Nest, places: dict[Run, Expression], reduced: dict[Axis, Expression] | None = None
    ) -> None:
        self.nest = nest
        self.places = places
        self.axes: dict[Axis, Expression] = dict(reduced or {})
        for position, extent in enumerate(nest.extents):
            if extent == 1:
                self.axes[nest.axes[position]] = nest.number(0)
        for run, place in places.items():
            if len(run.positions) == 1:
                self.axes[nest.axes[run.positions[0]]] = place

    def value(
        self, item: Assignment, value: Expression, registers: dict[Buffer, _Register], lane: Expression
    ) -> Expression:
        """The value at this point: kept arrays from a lane of their `registers`, others from memory."""

        def load_flat(load: TensorLoad, mutator: tvm_ffi.StructuralMutator) -> Expression:
            if load.source in registers:
                return registers[load.source].value(lane)
            flat = offset(load.source, load.indices)
            steps = coefficients(flat, item.all_axes, item.all_extents)
            if steps is None:
                bounds = {axis: (0, extent) for axis, extent in zip(item.all_axes, item.all_extents, strict=True)}
                place = mutator.mutate(simplify(flat, bounds))
            else:
                place = self._place(steps, item)
            return tirx.BufferLoad(self.nest.flat[load.source], [place])

        return rewrite(value, (TensorLoad, load_flat), (tirx.Var, lambda var, _: self.axes.get(var, var)))

    def store(self, buffer: Buffer, value: Expression) -> None:
        """Store the value if the array lies in memory."""
        if buffer in self.nest.flat:
            extents = self.nest.extents
            steps = [prod(extents[index + 1 :]) for index in range(len(extents))]
            tir.buffer_store(self.nest.flat[buffer], value, [self._place([*steps, 0], None)])

    def _place(self, steps: list[int], item: Assignment | None) -> Expression:
        """Σ steps·axes + the constant, with whole runs as one axis."""
        place = self.nest.number(steps[-1])
        for run, position in self.places.items():
            if run.positions:
                place = place + position * steps[run.positions[-1]]
        for axis, step in zip(item.reduced if item else (), steps[len(self.nest.axes) : -1], strict=True):
            place = place + self.axes[axis] * step
        return place


def on_axes(item: Assignment, axes: tuple[Axis, ...]) -> Assignment:
    """The same assignment with other names for its axes."""
    names = dict(zip(item.axes, axes, strict=True))
    stores = tuple((buffer, substitute(value, names)) for buffer, value in item.stores)
    initial = tuple(substitute(value, names) for value in item.initial)
    return replace(item, axes=axes, stores=stores, initial=initial)


def _simplified(item: Assignment, axis: Axis, start: int, end: int) -> Assignment:
    bounds = {name: (0, extent) for name, extent in zip(item.all_axes, item.all_extents, strict=True)}
    bounds[axis] = (start, end)
    return replace(item, stores=tuple((buffer, simplify(value, bounds)) for buffer, value in item.stores))


def _branches_of(expression: Expression) -> list[tvm.ir.Call]:
    """The calls of `if_then_else` in an expression, which computes one of its branches alone."""
    found: list[tvm.ir.Call] = []

    def note(node: tvm.ir.Call) -> None:
        if is_branch(node):
            found.append(node)

    tvm_ffi.structural_walk(expression, (tvm.ir.Call, note))
    return found


def _variables(expression: Expression) -> list[Axis]:
    found: list[Axis] = []
    tvm_ffi.structural_walk(expression, (tirx.Var, lambda var: found.append(var)))
    return found
