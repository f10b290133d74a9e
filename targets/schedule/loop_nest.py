"""Unscheduled blocks, as TVM's operator lowering leaves them, read as assignments over axes and flat arrays.

An assignment says: for every point of its axes, array[offset] = value. The offsets tell which neighbouring axes can be
walked as one, which is what makes a vector loop long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import tvm_ffi
from tvm import sym, tirx
from tvm.ir import Call, Op, Range, TensorLoad
from tvm.s_tir.stmt import SBlock, SBlockRealize

from astroedge.targets.pass_list import UnknownForm

Buffer = Any  # TVM's classes carry no type information
Expression = Any
Axis = Any


@dataclass(frozen=True)
class Assignment:
    """One block. `stores` are (array, value) pairs at the point `axes`.

    A reduction has `reduced` axes and an `initial` value per store; a load of its own array is the value so far.
    """

    name: str
    axes: tuple[Axis, ...]
    extents: tuple[int, ...]
    stores: tuple[tuple[Buffer, Expression], ...]
    reduced: tuple[Axis, ...] = ()
    reduced_extents: tuple[int, ...] = ()
    initial: tuple[Expression, ...] = ()

    @property
    def all_axes(self) -> tuple[Axis, ...]:
        """The axes of the result, then the reduced ones."""
        return (*self.axes, *self.reduced)

    @property
    def all_extents(self) -> tuple[int, ...]:
        """The extents of `all_axes`."""
        return (*self.extents, *self.reduced_extents)

    @cached_property
    def loads(self) -> list[TensorLoad]:
        """Every load in its values, those inside indices too."""
        return [load for _, value in self.stores for load in loads_of(value)]

    def reads(self, buffer: Buffer) -> list[TensorLoad]:
        """The loads of one array."""
        return [load for load in self.loads if load.source.same_as(buffer)]

    def is_own_point(self, load: TensorLoad) -> bool:
        """Whether the load is at the point that the assignment writes, of an array of the same extents."""
        if tuple(int(extent) for extent in load.source.ty.shape) != self.extents:
            return False
        places = coefficients(offset(load.source, load.indices), self.all_axes, self.all_extents)
        return places is not None and _is_row_major(places, self.extents)


def read_assignments(func: tirx.PrimFunc) -> list[Assignment]:
    """The blocks of a function in order.

    Raises UnknownForm for a body that is not made of blocks which write one element of an array at their own axes.
    """
    return [_assignment(block) for block in _blocks(func.body)]


def inline(reader: Assignment, source: Assignment) -> Assignment:
    """`reader` with the value that `source` assigns in place of every load of its array."""
    buffer, value = source.stores[0]

    def expand(load: TensorLoad) -> Expression:
        if not load.source.same_as(buffer):
            return load
        # A number, an array without axes, is computed in a block whose only axis has one point.
        point = load.indices or [tirx.const(0, axis.ty.dtype) for axis in source.axes]
        return substitute(value, dict(zip(source.axes, point, strict=True)))

    stores = tuple((array, tvm_ffi.structural_map(item, (TensorLoad, expand))) for array, item in reader.stores)
    return replace(reader, stores=stores)


def loads_of(expression: Expression) -> list[TensorLoad]:
    """Every load in an expression."""
    found: list[TensorLoad] = []
    tvm_ffi.structural_walk(expression, (TensorLoad, lambda load: found.append(load)))
    return found


def substitute(expression: Expression, values: dict[Axis, Expression]) -> Expression:
    """The expression with variables replaced."""
    return tvm_ffi.structural_map(expression, (tirx.Var, lambda var: values.get(var, var))) if values else expression


def offset(buffer: Buffer, indices: Sequence[Expression]) -> Expression:
    """The element offset of an access in the row-major array behind `buffer`."""
    flat: Expression = tirx.const(0, indices[0].ty.dtype if indices else "int32")
    for index, extent in zip(indices, buffer.ty.shape, strict=True):
        flat = flat * extent + index
    return flat


def simplify(expression: Expression, bounds: dict[Axis, tuple[int, int]]) -> Expression:
    """The expression simplified, knowing that each axis lies in start ≤ axis < end."""
    analyzer = sym.Analyzer()
    for axis, (start, end) in bounds.items():
        dtype = axis.ty.dtype
        analyzer.bind(axis, Range(tirx.const(start, dtype), tirx.const(end, dtype)))
    return analyzer.simplify(expression)


def coefficients(expression: Expression, axes: Sequence[Axis], extents: Sequence[int]) -> list[int] | None:
    """[c₀ … cₙ₋₁, constant] with expression = Σ cᵢ·axisᵢ + constant, or None if it has not that form."""
    simple = simplify(expression, {axis: (0, extent) for axis, extent in zip(axes, extents, strict=True)})
    found = list(sym.detect_linear_equation(simple, list(axes))) if axes else [simple]
    if not found or not all(isinstance(value, tirx.IntImm) for value in found):
        return None
    return [int(value) for value in found]


def _blocks(statement: Any) -> Iterator[SBlock]:
    if isinstance(statement, SBlockRealize):
        inner = list(_blocks(statement.block.body))
        yield from inner or [statement.block]
    elif isinstance(statement, tirx.SeqStmt):
        for part in statement.seq:
            yield from _blocks(part)
    elif isinstance(statement, tirx.For):
        yield from _blocks(statement.body)


def _assignment(block: SBlock) -> Assignment:
    spatial = [axis for axis in block.iter_vars if axis.iter_type == axis.DataPar]
    reduced = [axis for axis in block.iter_vars if axis.iter_type == axis.CommReduce]
    if len(spatial) + len(reduced) != len(block.iter_vars):
        raise UnknownForm(f"{block.name_hint} has an axis that is neither spatial nor reduced; it has no schedule.")
    axes = tuple(axis.var for axis in spatial)
    extents = tuple(int(axis.dom.extent) for axis in spatial)
    stores = _stores(block, block.body, axes, extents)
    if not reduced:
        return Assignment(block.name_hint, axes, extents, stores)
    initial = tuple(value for _, value in _stores(block, block.init, axes, extents))
    reduced_extents = tuple(int(axis.dom.extent) for axis in reduced)
    return Assignment(
        block.name_hint, axes, extents, stores, tuple(axis.var for axis in reduced), reduced_extents, initial
    )


def _stores(
    block: SBlock, body: Any, axes: tuple[Axis, ...], extents: tuple[int, ...]
) -> tuple[tuple[Buffer, Expression], ...]:
    """What a block stores at its own point, with the names it binds replaced by their values."""
    bound: dict[Axis, Expression] = {}
    stores = []
    for statement in body.seq if isinstance(body, tirx.SeqStmt) else [body]:
        if isinstance(statement, tirx.Bind):
            bound[statement.var] = substitute(statement.value, bound)
        elif isinstance(statement, tirx.BufferStore):
            places = coefficients(offset(statement.buffer, statement.indices), axes, extents)
            if places is None or not _is_row_major(places, extents):
                raise UnknownForm(f"{block.name_hint} writes its result out of order, for which there is no schedule.")
            stores.append((statement.buffer, substitute(statement.value, bound)))
        else:
            raise UnknownForm(
                f"{block.name_hint} is a loop of its own, for which there is no schedule; "
                "write the model without this operator."
            )
    return tuple(stores)


def _is_row_major(places: Sequence[int], extents: tuple[int, ...]) -> bool:
    """Whether the coefficients walk an array of these extents element by element (further axes play no part)."""
    steps = [prod(extents[index + 1 :]) for index in range(len(extents))]
    own = all(place == step for place, step, extent in zip(places, steps, extents, strict=False) if extent > 1)
    return own and not any(places[len(extents) :])


def is_branch(node: Any) -> bool:
    """Whether an expression computes one of two others alone, as `if_then_else` does."""
    return isinstance(node, Call) and isinstance(node.op, Op) and node.op.name.endswith(".if_then_else")
