"""Many slices of one array in one kernel, and a concatenation of many.

Where a sequence is written out element by element, each element's slice would join the kernel that reads it, and the
kernels of all elements would differ in the place that they read alone. Cut beforehand, they are one kernel.
"""

from __future__ import annotations

from math import prod

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from astroedge.targets.compiler.lower.lowerings.relax_calls import OPAQUE, call_kernel, shape_of
from astroedge.targets.kernels.rows import cut, join
from astroedge.targets.tir_builder import KERNEL_ATTRIBUTE

MANY = 6
"""From how many slices of one array, or operands of one concatenation, on they are one kernel."""


def cut_rows(module: tvm.IRModule) -> tvm.IRModule:
    """`module` with a kernel in place of `MANY` slices, or of a concatenation, that move whole runs of elements."""
    rewriter = _CutRows(module)
    rewriter.builder_.update_func(module.get_global_var("main"), rewriter.visit_expr(module["main"]))
    return rewriter.builder_.get()


Group = tuple[relax.Var, int]
"""Slices of one array that have the same number of elements."""


@mutator
class _CutRows(PyExprMutator):
    """Replaces slices by pieces, and concatenations by calls."""

    def __init__(self, module: tvm.IRModule) -> None:
        super().__init__(module)
        self.starts = _starts(module["main"])
        self.pieces: dict[tuple[Group, int], relax.Expr] = {}

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        """Replace one of many slices by its piece, and a concatenation of many; leave other calls as they are."""
        visited = self.visit_expr_post_order(call)
        start = _start(call)
        if start is not None:
            group = call.args[0], prod(shape_of(call))
            return self._piece(visited, group, start) if len(self.starts[group]) >= MANY else visited
        if _is(call, "relax.concat") and isinstance(visited.args[0], relax.Tuple):
            fields = list(visited.args[0].fields)
            moved = [*shape_of(call)[: int(call.attrs.axis) % len(shape_of(call))]]
            dtype = str(call.ty.dtype.dtype)
            if len(fields) >= MANY and prod(moved) == 1 and dtype != "bool":
                function = join([prod(shape_of(field)) for field in fields], dtype)
                return call_kernel(self.builder_, function, "join", fields, shape_of(call), dtype)
        return visited

    def _piece(self, call: relax.Call, group: Group, start: int) -> relax.Expr:
        """The result of the kernel that cuts all pieces of the group; it is called where the first is asked for."""
        if (group, start) not in self.pieces:
            starts, (operand, size) = self.starts[group], group
            dtype = str(call.ty.dtype.dtype)
            function = cut(prod(shape_of(operand)), starts, size, dtype).without_attr("global_symbol")
            function = function.with_attrs({"op_pattern": OPAQUE, KERNEL_ATTRIBUTE: "cut"})
            result = relax.TensorType(shape_of(call), dtype)
            made = relax.call_tir(
                self.builder_.add_func(function, "cut"), [call.args[0]], out_ty=[result] * len(starts)
            )
            cut_pieces = self.builder_.emit(made)
            for place, first in enumerate(starts):
                self.pieces[group, first] = self.builder_.emit(relax.TupleGetItem(cut_pieces, place))
        piece = self.pieces[group, start]
        return piece if shape_of(piece) == shape_of(call) else relax.op.reshape(piece, shape_of(call))


def _starts(main: relax.Function) -> dict[Group, list[int]]:
    """Where the slices of each group begin, each place once."""
    found: dict[Group, list[int]] = {}
    for block in main.body.blocks:
        for binding in block.bindings:
            start = _start(binding.value)
            if start is not None:
                starts = found.setdefault((binding.value.args[0], prod(shape_of(binding.value))), [])
                if start not in starts:
                    starts.append(start)
    return found


def _start(value: relax.Expr) -> int | None:
    """The first element of the run that a slice is; None for a slice that is no run, and for all else."""
    if not _is(value, "relax.strided_slice") or not isinstance(value.args[0], relax.Var):
        return None
    shape, axes, begins = (
        shape_of(value.args[0]),
        *([int(item) for item in value.args[place].fields] for place in (1, 2)),
    )
    strides = [int(item) for item in value.args[4].fields] if len(value.args) > 4 else [1]
    if len(axes) != 1 or strides != [1] or value.ty.dtype.dtype == "bool":
        return None
    axis, begin = axes[0] % len(shape), begins[0]
    if prod(shape[:axis]) != 1 or not prod(shape_of(value)):
        return None
    begin = max(0, begin + shape[axis] if begin < 0 else begin)
    return begin * prod(shape[axis + 1 :])


def _is(value: relax.Expr, name: str) -> bool:
    return isinstance(value, relax.Call) and isinstance(value.op, tvm.ir.Op) and value.op.name == name
