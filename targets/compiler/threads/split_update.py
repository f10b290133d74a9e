"""An update of rows that a list names → two kernels: one of the rows that it names, one of others.

The rows that a tick reads of a state are so updated first, and the others when there is time. Every element is still
computed once, by the same operations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tvm_ffi
from tvm import tirx

from astroedge.targets.compiler.threads.own_parts import own_parts, own_rows
from astroedge.targets.kernels.products.active_list import bounds_size, is_active
from astroedge.targets.tir_builder import OWN


class SplitUpdate:
    """The kernels that a kernel of `matrices` times `rows` rows is split into.

    Their parameters are the kernel's, with what says which rows are listed before the last one, the new state.
    """

    def __init__(self, function: tirx.PrimFunc, matrices: int, rows: int) -> None:
        self.function = function
        self.matrices = matrices
        self.rows = rows
        self.outer: Any = function.body
        self.inner: Any = self.outer.body

    def listed(self) -> tirx.PrimFunc:
        """The rows that `indices` and `bounds` name, lists as `active_list` writes them, one for each matrix."""
        indices = tirx.decl_buffer((self.matrices * self.rows,), "int32", name="indices")
        bounds = tirx.decl_buffer((self.matrices * bounds_size(self.rows),), "int32", name="bounds")
        position = tirx.Var("position", "int32")
        row = tirx.decl_buffer((1,), "int32", name="row")
        matrix = tirx.Cast("int32", self.outer.loop_var)
        count = tirx.BufferLoad(bounds, [(matrix + 1) * bounds_size(self.rows) - 1])
        listed = tirx.BufferLoad(indices, [matrix * self.rows + position])
        body = [
            tirx.AllocBuffer(row),
            tirx.BufferStore(row, listed, [0]),
            self._row(tirx.BufferLoad(row, [0])),
        ]
        zero = tirx.const(0, "int32")
        loop = tirx.For(position, zero, count, tirx.ForKind.SERIAL, tirx.SeqStmt(body))
        return self._kernel(loop, [indices, bounds])

    def silent(self, dtype: str, first: int, end: int) -> tirx.PrimFunc:
        """Of the rows from `first` to `end` of each matrix those whose element of `spikes`, of a dtype, is 0.

        If the lists were made of these spikes, every row is either listed or silent.
        """
        spikes = tirx.decl_buffer((self.matrices * self.rows,), dtype, name="spikes")
        number = tirx.Var("number", "int32")
        row = number + first
        spike = tirx.BufferLoad(spikes, [tirx.Cast("int32", self.outer.loop_var) * self.rows + row])
        body = tirx.IfThenElse(is_active(spike) == 0, self._row(row), None)
        length = tirx.const(end - first, "int32")
        loop = tirx.For(number, tirx.const(0, "int32"), length, tirx.ForKind.SERIAL, body)
        return self._kernel(loop, [spikes])

    def _row(self, row: Any) -> Any:
        """The update of one row."""
        number = tirx.Cast(self.inner.loop_var.ty.dtype, row)
        moved: Callable[[Any], Any] = lambda var: number if var.same_as(self.inner.loop_var) else var  # noqa: E731
        return tvm_ffi.structural_map(self.inner.body, (tirx.Var, moved))

    def _kernel(self, rows: Any, lists: list[Any]) -> tirx.PrimFunc:
        """The kernel that goes over these rows of each matrix."""
        outer = self.outer
        body = tirx.For(outer.loop_var, outer.min, outer.extent, outer.kind, rows, annotations=outer.annotations)
        *parameters, new = self.function.params
        kernel = tirx.PrimFunc([*parameters, *lists, new], body, self.function.ret_type)
        return kernel.with_attrs({**dict(self.function.attrs), OWN: True})


def split_update(function: tirx.PrimFunc, matrices: int, rows: int, state: int) -> SplitUpdate | None:
    """How to split a scheduled kernel, parameter number `state` of which is the old state and the last the new one.

    None where its two outermost loops are not over matrices and rows, where a row touches more of the state than
    itself, or where matrices have anything in common: threads divide them, each by what it made itself.
    """
    by_matrix, by_row = own_parts(function), own_rows(function)
    if by_matrix is None or by_row is None or not by_matrix.loop.same_as(function.body):
        return None
    everything = frozenset(range(len(function.params)))
    same = by_matrix.iterations == matrices and by_row.iterations == matrices * rows
    if not same or by_matrix.operands != everything or not {state, len(everything) - 1} <= by_row.operands:
        return None
    return SplitUpdate(function, matrices, rows)
