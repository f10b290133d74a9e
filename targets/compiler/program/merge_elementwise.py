"""Element-wise calls over the same points become one call with several results.

Fusion follows each result of the step by itself: a neuron whose membrane, spike and reset are all needed later comes
out as several functions, which store and reload what they pass on. Here a call joins the calls whose results it reads,
or that read what it reads, if each takes of the others' results only the point that it writes itself. What nobody
outside a group reads is not written any more. Each element goes through the same operations as before, in their order.

An unrolled loop of many ticks comes out as several functions of at most 64 loops each.

A state that could be overwritten in place still can be: whoever reads the old value comes before the call that makes
the new one, or is in it and reads its own point.
"""

from __future__ import annotations

from dataclasses import replace
from heapq import heapify, heappop, heappush

from tvm import tirx
from tvm.s_tir.stmt import SBlock, SBlockRealize
from tvm_ffi import structural_map

from astroedge.targets.compiler.program.blocks import blocks_of, is_pointwise
from astroedge.targets.compiler.program.step_program import KernelCall, StepProgram, Value
from astroedge.targets.tir_builder import KERNEL_ATTRIBUTE

Group = tuple[int, ...]

MOST_BLOCKS = 64
"""Loops that are joined into one function: what compiles a function takes longer than in proportion to its length."""


def merge_elementwise(program: StepProgram) -> StepProgram:
    """Merge the element-wise calls of `program` where nothing that lies between them has to wait for both."""
    merger = _Merger(program)
    for index in range(len(program.calls)):
        merger.join_earlier(index)
    return replace(program, calls=merger.merged_calls())


class _Merger:
    """Groups of calls, by their indices in ascending order; a call that joins nothing is a group of one."""

    def __init__(self, program: StepProgram) -> None:
        self.calls = program.calls
        self.results = {*program.outputs, *program.nexts}
        self.maker = {value: index for index, call in enumerate(self.calls) for value in call.writes}
        self.readers: dict[Value, list[int]] = {}
        for index, call in enumerate(self.calls):
            for value in dict.fromkeys(call.reads):
                self.readers.setdefault(value, []).append(index)
        self.next_of = {old: new for old, new in zip(program.states, program.nexts, strict=True) if new in self.maker}
        self.waits_for = [{self.maker[value] for value in call.reads if value in self.maker} for call in self.calls]
        for old, new in self.next_of.items():
            maker = self.maker[new]
            self.waits_for[maker].update(reader for reader in self.readers.get(old, []) if reader < maker)
        self.group_of: list[Group] = [(index,) for index in range(len(self.calls))]
        self.plain = [has_plain_loops(call) for call in self.calls]
        self.blocks = [sum(1 for _ in blocks_of(call.function.body)) for call in self.calls]
        self.pointwise: dict[tuple[tirx.PrimFunc, int], bool] = {}

    def join_earlier(self, index: int) -> None:
        """Join a call with each group before it that it reads from or shares an operand with, where it may."""
        call = self.calls[index]
        if not self.plain[index]:
            return
        makers = [self.maker[value] for value in call.reads if value in self.maker]
        shared = [self.readers[value] for value in call.reads if value.kind != "weight"]
        for other in dict.fromkeys((*makers, *(reader for readers in shared for reader in readers if reader < index))):
            mine, theirs = self.group_of[index], self.group_of[other]
            if mine != theirs and self._may_join(theirs, mine):
                joined = tuple(sorted(theirs + mine))
                for member in joined:
                    self.group_of[member] = joined

    def merged_calls(self) -> list[KernelCall]:
        """One call for every group, in the order of first members as far as what they wait for allows."""
        waits_for = {group: self._groups_before(group) for group in dict.fromkeys(self.group_of)}
        waiting: dict[Group, list[Group]] = {}
        for group, others in waits_for.items():
            for other in others:
                waiting.setdefault(other, []).append(group)
        ready = [group for group, others in waits_for.items() if not others]
        heapify(ready)
        calls = []
        while ready:
            done = heappop(ready)
            calls.append(self._call(done))
            for group in waiting.get(done, ()):
                waits_for[group].remove(done)
                if not waits_for[group]:
                    heappush(ready, group)
        return calls

    def _may_join(self, first: Group, second: Group) -> bool:
        members = (*first, *second)
        if not all(self.plain[member] for member in members):
            return False
        if sum(self.blocks[member] for member in members) > MOST_BLOCKS:
            return False
        if len({self.calls[member].writes[0].shape for member in members}) != 1:
            return False
        return self._read_own_points(members) and not (self._leads_to(first, second) or self._leads_to(second, first))

    def _read_own_points(self, members: Group) -> bool:
        """Whether every member reads other members' results, and old values they overwrite, at its own point only."""
        made = {value for member in members for value in self.calls[member].writes}
        touched = made | {old for old, new in self.next_of.items() if new in made}
        return all(
            self._is_pointwise(call.function, place)
            for call in (self.calls[member] for member in members)
            for place, value in enumerate(call.reads)
            if value in touched
        )

    def _is_pointwise(self, function: tirx.PrimFunc, place: int) -> bool:
        """`is_pointwise`, found out once: calls are looked at beside every other that shares an operand."""
        if (function, place) not in self.pointwise:
            self.pointwise[function, place] = is_pointwise(function, place)
        return self.pointwise[function, place]

    def _leads_to(self, first: Group, last: Group) -> bool:
        """Whether something outside both groups waits for `first` and is waited for by `last`."""
        pending = [group for group in self._groups_before(last) if group != first]
        seen = set(pending)
        while pending:
            before = self._groups_before(pending.pop())
            if first in before:
                return True
            pending += before - seen
            seen |= before
        return False

    def _groups_before(self, group: Group) -> set[Group]:
        """The groups that must come right before."""
        return {self.group_of[other] for member in group for other in self.waits_for[member]} - {group}

    def _call(self, group: Group) -> KernelCall:
        members = [self.calls[index] for index in group]
        if len(members) == 1:
            return members[0]
        inside = {
            value
            for call in members
            for value in call.writes
            if value not in self.results and all(reader in group for reader in self.readers.get(value, ()))
        }
        return join_calls(members, inside)


def has_plain_loops(call: KernelCall) -> bool:
    """Whether the call is made of unscheduled blocks without reductions, with results of one shape."""
    if call.product is not None or KERNEL_ATTRIBUTE in (call.function.attrs or {}):
        return False
    axes = [axis for block in blocks_of(call.function.body) for axis in block.iter_vars]
    return all(axis.iter_type == axis.DataPar for axis in axes) and len({value.shape for value in call.writes}) == 1


def join_calls(members: list[KernelCall], inside: set[Value]) -> KernelCall:
    """One call that does what `members` do in turn; the values `inside` it are not among its results."""
    reads: dict[tuple[Value, tuple[int, ...]], tirx.Var] = {}  # a value may be read in several shapes
    made: dict[Value, tirx.Var] = {}
    local: list[tirx.Var] = []
    bodies = []
    for call in members:
        renamed = {buffer: _copy(buffer) for buffer in call.function.body.block.alloc_buffers}
        local += renamed.values()
        parameters = call.function.params
        for value, parameter in zip(call.reads, parameters, strict=False):
            shape = tuple(int(extent) for extent in parameter.ty.shape)
            if value not in made and (value, shape) not in reads:
                reads[value, shape] = _copy(parameter)
            renamed[parameter] = made[value] if value in made else reads[value, shape]
        for value, parameter in zip(call.writes, parameters[len(call.reads) :], strict=True):
            renamed[parameter] = made[value] = _copy(parameter)
        bodies.append(_rename(call.function.body.block.body, renamed))
    results = [value for value in made if value not in inside]
    local += [made[value] for value in made if value in inside]
    root = SBlock([], [], [], "root", tirx.SeqStmt(bodies), alloc_buffers=local)
    function = tirx.PrimFunc([*reads.values(), *(made[value] for value in results)], SBlockRealize([], True, root))
    return KernelCall(
        function=function.with_attrs({"tirx.noalias": True, "s_tir": True}),
        reads=tuple(value for value, _ in reads),
        writes=tuple(results),
        kind=members[0].kind,
        operators=tuple(operator for call in members for operator in call.operators),
    )


def _copy(buffer: tirx.Var) -> tirx.Var:
    """A new array like `buffer`: functions are shared, and one may be joined with itself."""
    return tirx.decl_buffer(buffer.ty.shape, buffer.ty.dtype, buffer.name)


def _rename(body: tirx.Stmt, names: dict[tirx.Var, tirx.Var]) -> tirx.Stmt:
    return structural_map(body, (tirx.Var, lambda var: names.get(var, var)))
