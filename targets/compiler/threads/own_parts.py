"""Which operands a kernel touches only in parts that belong to one iteration of its outermost loop.

Where two kernels divide alike what one writes and the other reads, each thread goes on with what it made itself: there
is nothing to wait for. A neuron's update goes with the product that it adds to, the answer of a state with its change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tvm_ffi
from tvm import sym, tirx
from tvm.ir import Range, TensorLoad

from astroedge.abi.limits import MAX_THREADS
from astroedge.targets.tir_builder import INDEPENDENT, OWN


@dataclass(frozen=True)
class OwnParts:
    """`loop` is the outermost one, of so many `iterations`; `operands` are the positions of such parameters."""

    loop: Any
    iterations: int
    operands: frozenset[int]


def own_parts(function: tirx.PrimFunc) -> OwnParts | None:
    """What the outermost loop of a kernel divides; None where all it does is not in one that threads may divide.

    Iteration i touches of such an operand, an array of n·size elements, nothing but elements i·size to (i + 1)·size.
    """
    loop = _outermost(function.body)
    if loop is None or int(loop.extent) * MAX_THREADS >= 2**31:
        return None
    iterations = int(loop.extent)
    operands: list[Any] = list(function.params)
    if OWN in function.attrs:
        return OwnParts(loop, iterations, frozenset(range(len(operands))))
    walk = _Accesses([loop])
    own = {place for place, buffer in enumerate(operands) if walk.is_own(buffer)}
    return OwnParts(loop, iterations, frozenset(own))


def own_rows(function: tirx.PrimFunc) -> OwnParts | None:
    """The same for the two outermost loops, with nothing between them; None where there are no two."""
    outer = _outermost(function.body)
    inner = None if outer is None else _outermost(outer.body)
    if outer is None or inner is None or not inner.same_as(outer.body):
        return None
    walk = _Accesses([outer, inner])
    own = {place for place, buffer in enumerate(function.params) if walk.is_own(buffer)}
    return OwnParts(inner, int(outer.extent) * int(inner.extent), frozenset(own))


def _outermost(statement: Any) -> tirx.For | None:
    """The outermost independent loop of several iterations, around which are only loops of one."""
    while isinstance(statement, tirx.For) and INDEPENDENT in statement.annotations:
        if int(statement.extent) > 1:
            return statement
        statement = statement.body
    return None


class _Accesses:
    """Where the iterations of loops load and store that stand in each other with nothing between them."""

    def __init__(self, loops: Sequence[tirx.For]) -> None:
        self.number: Any = 0  # of an iteration, counted over all loops
        self.iterations = 1
        self.analyzer = sym.Analyzer()
        self.found: list[tuple[Any, Any]] = []
        self.extents: dict[Any, int] = {}
        self.is_clear = True  # whether each variable of a loop has one range
        for loop in loops:
            self._bind(loop)
            self.number = self.number * int(loop.extent) + loop.loop_var
            self.iterations *= int(loop.extent)
        callbacks = [
            (tirx.For, self._bind),
            (TensorLoad, lambda load: self.found.append((load.source, load.indices))),
            (tirx.BufferStore, lambda store: self.found.append((store.buffer, store.indices))),
        ]
        tvm_ffi.structural_walk(loops[-1].body, callbacks)

    def _bind(self, loop: tirx.For) -> None:
        if isinstance(loop.extent, tirx.IntImm):
            extent = int(loop.extent)
            self.is_clear = self.is_clear and self.extents.setdefault(loop.loop_var, extent) == extent
            bounds = Range.from_min_extent(loop.min, loop.extent)
            self.analyzer.bind(loop.loop_var, bounds, allow_override=True)

    def is_own(self, buffer: Any) -> bool:
        """Whether every access to a parameter lies in the iteration's own part of it."""
        length, *others = (int(extent) for extent in buffer.ty.shape)
        if others or length % self.iterations or not self.is_clear:
            return False
        size = length // self.iterations
        places = [indices for other, indices in self.found if other.same_as(buffer)]
        return bool(places) and all(len(item) == 1 and self._is_in(item[0], size) for item in places)

    def _is_in(self, index: Any, size: int) -> bool:
        """Whether an index lies between i·size and (i + 1)·size, whatever the loops inside are at."""
        base = index.base if isinstance(index, tirx.Ramp) else index
        span = int(index.stride) * (int(index.lanes) - 1) if isinstance(index, tirx.Ramp) else 0
        bound = self.analyzer.const_int_bound(self.analyzer.simplify(base - self.number * size))
        return int(bound.min_value) + min(span, 0) >= 0 and int(bound.max_value) + max(span, 0) < size
