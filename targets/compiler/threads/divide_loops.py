"""A kernel for one thread → the same kernel for a team, whose threads each do their part of its loops.

A kernel says which of its loops are independent (`tir_builder.independent`). Such a loop of n iterations becomes
the iterations n·thread/threads up to n·(thread + 1)/threads, or on a GPU, where neighbouring threads should touch
neighbouring elements, thread, thread + threads, …; what stands around it every thread does for itself. Every element is
still computed by one thread, in the same order, so the bits do not depend on how many threads there are.

Requires: a kernel that is not lowered yet.
Ensures: every store to a parameter is made by exactly one thread, or there is no team form.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from math import prod
from typing import Any

import tvm_ffi
from tvm import tirx

from astroedge.abi.limits import MAX_THREADS
from astroedge.targets.tir_builder import INDEPENDENT, rewrite

PART = "part"  # the array that holds where a thread starts and how many iterations it does
FEW = 4  # with fewer parts than this, the loop that has more of them is divided


@dataclass(frozen=True)
class TeamForm:
    """`function` takes two int32 after the kernel's own parameters, thread and threads; `parts` can be done at once."""

    function: tirx.PrimFunc
    parts: int


def divide_loops(function: tirx.PrimFunc, most_threads: int = MAX_THREADS, in_turn: bool = False) -> TeamForm | None:
    """The team form of a kernel, for up to `most_threads`; None if it has none, or too little to divide.

    Each thread gets a run of neighbouring iterations, or with `in_turn` every so manieth. Then independent loops that
    stand in each other with nothing between them are divided as one.
    """
    thread, threads = tirx.Var("thread", "int32"), tirx.Var("threads", "int32")
    kind = _InTurn if in_turn else _Divider
    divided = kind(list(function.params), thread, threads, most_threads).divide(function.body)
    if divided is None or divided.parts < 2:
        return None
    body = tirx.PrimFunc([*function.params, thread, threads], divided.body, function.ret_type)
    return TeamForm(body.with_attrs(dict(function.attrs)), divided.parts)


def divide_outermost(function: tirx.PrimFunc, loop: tirx.For, units: int) -> TeamForm:
    """The team form that divides the outermost loop, which `own_parts` found, in so many runs of equal length."""
    thread, threads = tirx.Var("thread", "int32"), tirx.Var("threads", "int32")
    divider = _Divider(list(function.params), thread, threads, MAX_THREADS)
    part = divider.part_of(loop, units)

    def replace_loop(item: Any, mutator: Any) -> Any:
        return part if item.same_as(loop) else mutator.default_mutate(item)

    replaced = rewrite(function.body, (tirx.For, replace_loop))
    body = tirx.PrimFunc([*function.params, thread, threads], replaced, function.ret_type)
    return TeamForm(body.with_attrs(dict(function.attrs)), units)


def undivided(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """The kernel for one thread, without the marks of independent loops; those of one iteration are no loops."""

    def unmark(loop: Any, mutator: Any) -> Any:
        loop = mutator.default_mutate(loop)
        if INDEPENDENT not in loop.annotations:
            return loop
        if isinstance(loop.extent, tirx.IntImm) and int(loop.extent) == 1:
            once = (tirx.Var, lambda var: loop.min if var.same_as(loop.loop_var) else var)
            return tvm_ffi.structural_map(loop.body, once)
        return tirx.For(loop.loop_var, loop.min, loop.extent, loop.kind, loop.body)

    return function.with_body(rewrite(function.body, (tirx.For, unmark)))


@dataclass(frozen=True)
class _Divided:
    """A statement in which every store to a parameter belongs to one thread, out of `parts` that can be done at once.

    No parts: it stores to no parameter, so that every thread may do all of it. `mark` is that of the divided loops.
    """

    body: tirx.Stmt
    parts: int
    mark: int = 2

    def better_than(self, parts: int, mark: int) -> bool:
        """Whether dividing these loops beats dividing one of `parts` iterations around them."""
        if self.mark != mark and min(self.parts, parts) >= FEW:
            return self.mark > mark
        return self.parts > parts


class _Divider:
    """Walks the statements around independent loops and chooses which loop of a nest to divide."""

    def __init__(self, parameters: list[Any], thread: tirx.Var, threads: tirx.Var, most_threads: int) -> None:
        self.parameters = parameters
        self.thread = thread
        self.threads = threads
        self.most_threads = most_threads

    def divide(self, statement: tirx.Stmt) -> _Divided | None:
        """The statement divided; None if a store to a parameter lies in no independent loop."""
        if isinstance(statement, tirx.SeqStmt):
            return self._divide_sequence(statement)
        if isinstance(statement, tirx.For):
            return self._divide_loop(statement)
        return _Divided(statement, 0) if self._is_private(statement) else None

    def _divide_sequence(self, sequence: tirx.SeqStmt) -> _Divided | None:
        found = [self.divide(statement) for statement in sequence.seq]
        items = [item for item in found if item is not None]
        if len(items) < len(found):
            return None
        marks = [item.mark for item in items if item.parts]
        body = tirx.SeqStmt([item.body for item in items])
        return _Divided(body, sum(item.parts for item in items), min(marks, default=2))

    def _divide_loop(self, loop: tirx.For) -> _Divided | None:
        """Divide the loop, or what is in it where that has more parts."""
        inner = self.divide(loop.body)
        mark = int(loop.annotations.get(INDEPENDENT, 0))
        extent = int(loop.extent) if mark else 0
        if inner is not None and (inner.parts == 0 or inner.better_than(extent, mark)):
            return replace(inner, body=tirx.For(loop.loop_var, loop.min, loop.extent, loop.kind, inner.body))
        if not mark or extent * self.most_threads >= 2**31 or self._keeps_values(loop.body):
            return None
        return _Divided(self.part_of(loop, extent), extent, mark)

    def part_of(self, loop: tirx.For, units: int) -> tirx.Stmt:
        """The iterations of one thread, which gets whole ones of so many `units` of neighbouring iterations.

        Where they start and how many they are lies in an array, since TVM's simplifier fails on the bounds of what
        depends on unknown numbers. The loop starts at 0: passes that move one which does not forget loops inside it.
        """
        thread, threads = (tirx.Cast("uint32", number) for number in (self.thread, self.threads))
        one, total = tirx.const(1, "uint32"), tirx.const(units, "uint32")
        length = tirx.const(int(loop.extent) // units, "uint32")
        first, end = (
            tirx.Cast("int32", tirx.truncdiv(total * number, threads) * length) for number in (thread, thread + one)
        )
        own_first, own_count, filled = self._own_iterations(first, end - first)
        start, count = (tirx.Cast(loop.loop_var.ty.dtype, number) for number in (own_first, own_count))
        own = tirx.Var(loop.loop_var.name, loop.loop_var.ty)
        moved = (tirx.Var, lambda var: start + own if var.same_as(loop.loop_var) else var)
        body = tvm_ffi.structural_map(loop.body, moved)
        return tirx.SeqStmt([*filled, tirx.For(own, loop.min, count, loop.kind, body)])

    def _own_iterations(self, first: Any, count: Any) -> tuple[Any, Any, list[tirx.Stmt]]:
        """Where a thread starts and how many iterations it does, out of an array, and what fills that."""
        part = tirx.decl_buffer((2,), "int32", name=PART)
        filled = [tirx.AllocBuffer(part), tirx.BufferStore(part, first, [0]), tirx.BufferStore(part, count, [1])]
        return tirx.BufferLoad(part, [0]), tirx.BufferLoad(part, [1]), filled

    def _keeps_values(self, body: tirx.Stmt) -> bool:
        """Whether an iteration stores to an array on the stack that outlives it: each thread would have its own."""
        stored, own = self._stored(body), []
        tvm_ffi.structural_walk(body, (tirx.AllocBuffer, lambda item: own.append(item.buffer)))
        known = [*own, *self.parameters]
        return not all(any(buffer.same_as(other) for other in known) for buffer in stored)

    def _is_private(self, statement: tirx.Stmt) -> bool:
        """Whether the statement stores to no parameter and calls nothing."""
        calls: list[Any] = []
        tvm_ffi.structural_walk(statement, (tirx.Evaluate, lambda call: calls.append(call)))
        stored = self._stored(statement)
        return not calls and not any(buffer.same_as(item) for buffer in stored for item in self.parameters)

    def _stored(self, statement: tirx.Stmt) -> list[Any]:
        """The arrays that a statement stores to."""
        found: list[Any] = []
        tvm_ffi.structural_walk(statement, (tirx.BufferStore, lambda store: found.append(store.buffer)))
        return found


class _InTurn(_Divider):
    """Divides the loops of a nest together, so that thread t does the iterations t, t + threads and so on."""

    def _divide_loop(self, loop: tirx.For) -> _Divided | None:
        nest = _nest_of(loop)
        inner = self.divide(nest[-1].body)
        extent = prod(int(item.extent) for item in nest) if INDEPENDENT in loop.annotations else 0
        if inner is not None and (inner.parts == 0 or inner.parts > extent):
            body = reduce(_around, reversed(nest), inner.body)
            return replace(inner, body=body)
        if not extent or extent + self.most_threads >= 2**31 or self._keeps_values(nest[-1].body):
            return None
        return _Divided(self._turns_of(nest, extent), extent)

    def _turns_of(self, nest: list[tirx.For], extent: int) -> tirx.Stmt:
        """The iterations of one thread."""
        thread, threads = (tirx.Cast("uint32", number) for number in (self.thread, self.threads))
        turns = tirx.truncdiv(tirx.const(extent - 1, "uint32") + (threads - thread), threads)
        first, count, filled = self._own_iterations(self.thread, tirx.Cast("int32", turns))
        own = tirx.Var("turn", "int32")
        number = first + own * self.threads
        places: dict[Any, Any] = {}
        for loop in reversed(nest):
            size = tirx.const(int(loop.extent), "int32")
            place = number if loop is nest[0] else tirx.truncmod(number, size)
            number = tirx.truncdiv(number, size)
            dtype = loop.loop_var.ty.dtype
            places[loop.loop_var] = loop.min + (place if str(dtype) == "int32" else tirx.Cast(dtype, place))
        body = tvm_ffi.structural_map(nest[-1].body, (tirx.Var, lambda var: places.get(var, var)))
        return tirx.SeqStmt([*filled, tirx.For(own, tirx.const(0, "int32"), count, tirx.ForKind.SERIAL, body)])


def _nest_of(loop: tirx.For) -> list[tirx.For]:
    """The loop, and the independent ones that stand in it with nothing between them if it is independent, too."""
    nest = [loop]
    while INDEPENDENT in loop.annotations and isinstance(loop.body, tirx.For) and INDEPENDENT in loop.body.annotations:
        loop = loop.body
        nest.append(loop)
    return nest


def _around(body: tirx.Stmt, loop: tirx.For) -> tirx.For:
    return tirx.For(loop.loop_var, loop.min, loop.extent, loop.kind, body)
