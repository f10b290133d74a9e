"""What a large value computes over and over, computed once: an assignment becomes several at the same points.

Operators that compute where to read, such as a resampling with reflected borders, write every index out at each of
its uses: a few hundred operations become tens of thousands, over which every later pass and LLVM walk.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir import TensorLoad

from astroedge.targets.schedule.loop_nest import Assignment, Buffer, Expression, is_branch
from astroedge.targets.tir_builder import rewrite

LARGE = 2000
"""Operations from which on a value is looked through; what is smaller LLVM shares by itself, in no time."""


def share_repeats(item: Assignment) -> list[Assignment]:
    """The assignment, behind those of what its values hold more than once where they are large.

    What is only computed under a condition stays there if it reads memory, which may be none outside it.
    """
    if item.reduced or sum(_size(value) for _, value in item.stores) < LARGE:
        return [item]
    terms = _Terms()
    roots = [terms.take(value) for _, value in item.stores]
    shared = _Shared(item, terms)
    stores = tuple((buffer, shared.expand(root)) for (buffer, _), root in zip(item.stores, roots, strict=True))
    return [*shared.assignments, replace(item, stores=stores)]


def _size(value: Expression) -> int:
    count = 0

    def add(_: Expression) -> None:
        nonlocal count
        count += 1

    tvm_ffi.structural_walk(value, (tvm.ir.Expr, add))
    return count


@dataclass
class _Term:
    """An operation on variables that stand for other terms; `uses` of it, and whether one is under no condition."""

    value: Expression
    variable: tirx.Var
    uses: int = 0
    certain: bool = False


@dataclass
class _Terms:
    """The different operations that read memory, each once, operands before what is made of them."""

    terms: list[_Term] = field(default_factory=list)
    _by_hash: dict[int, list[_Term]] = field(default_factory=dict)
    _by_variable: dict[tirx.Var, _Term] = field(default_factory=dict)
    _conditions: int = 0

    def take(self, value: Expression) -> Expression:
        """The value as the variable of its term, or as it is if it reads no memory."""
        return rewrite(value, (tvm.ir.Expr, partial(self._visit)))

    def of(self, expression: Expression) -> _Term | None:
        """The term that a variable stands for."""
        return self._by_variable.get(expression) if isinstance(expression, tirx.Var) else None

    def _visit(self, node: Expression, mutator: tvm_ffi.StructuralMutator) -> Expression:
        if isinstance(node, tirx.Select):
            branches = self._branches(mutator, node.true_value, node.false_value)
            node = tirx.Select(mutator.mutate(node.condition), *branches)
        elif is_branch(node):
            condition, *rest = node.args
            node = tvm.ir.Call(node.op, [mutator.mutate(condition), *self._branches(mutator, *rest)], ret_ty=node.ty)
        else:
            node = mutator.default_mutate(node)
        return self._number(node) if isinstance(node, TensorLoad) or self._reads(node) else node

    def _branches(self, mutator: tvm_ffi.StructuralMutator, *values: Expression) -> list[Expression]:
        self._conditions += 1
        taken = [mutator.mutate(value) for value in values]
        self._conditions -= 1
        return taken

    def _reads(self, node: Expression) -> bool:
        """Whether an operation has a term among its operands."""
        found: list[_Term] = []
        tvm_ffi.structural_walk(node, (tirx.Var, lambda var: found.extend(filter(None, [self.of(var)]))))
        return bool(found) and not isinstance(node, tirx.Var)

    def _number(self, node: Expression) -> Expression:
        """The variable of the term that the operation is."""
        alike = self._by_hash.setdefault(tvm_ffi.structural_hash(node), [])
        term = next((term for term in alike if tvm_ffi.structural_equal(term.value, node)), None)
        if term is None:
            term = _Term(node, tirx.Var(f"term_{len(self.terms)}", node.ty))
            alike.append(term)
            self.terms.append(term)
            self._by_variable[term.variable] = term
        term.uses += 1
        term.certain |= not self._conditions
        return term.variable


class _Shared:
    """The terms that are used more than once as assignments to arrays, which are kept in registers."""

    def __init__(self, item: Assignment, terms: _Terms) -> None:
        self.terms = terms
        self.item = item
        self.assignments: list[Assignment] = []
        self._arrays: dict[tirx.Var, Buffer] = {}
        for term in terms.terms:
            if term.uses > 1 and term.certain:
                value = self.expand(term.value)
                array = tirx.decl_buffer(item.extents, str(term.variable.ty.dtype), name=term.variable.name)
                self._arrays[term.variable] = array
                part = replace(item, name=f"{item.name}_{term.variable.name}", stores=((array, value),))
                self.assignments.append(part)

    def expand(self, value: Expression) -> Expression:
        """The value with arrays for what is shared, and what is not written out."""

        def put(variable: tirx.Var) -> Expression:
            if variable in self._arrays:
                return tirx.BufferLoad(self._arrays[variable], list(self.item.axes))
            term = self.terms.of(variable)
            return variable if term is None else self.expand(term.value)

        return tvm_ffi.structural_map(value, (tirx.Var, put))
