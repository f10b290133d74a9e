"""Arithmetic on constants, done at once with NumPy.

TVM's own folding compiles a function for every operator that it folds, which takes longer than all the rest of an
import where each layer has a batch norm, or picks an element by an index that is counted from a shape. Here is what has
one result in IEEE 754 or in whole numbers, and what only moves elements; the rest is left to TVM.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

Array = NDArray[Any]

ARITHMETIC: dict[str, Callable[..., Array]] = {
    "relax.add": np.add,
    "relax.subtract": np.subtract,
    "relax.multiply": np.multiply,
    "relax.less": np.less,
    "relax.less_equal": np.less_equal,
    "relax.greater": np.greater,
    "relax.greater_equal": np.greater_equal,
    "relax.equal": np.equal,
    "relax.where": np.where,
}
OF_FLOATS: dict[str, Callable[..., Array]] = {
    "relax.divide": np.divide,
    "relax.sqrt": np.sqrt,
    "relax.negative": np.negative,
}
MOVES = ("relax.expand_dims", "relax.reshape", "relax.squeeze")
"""Operators after which the same elements lie in the same order."""
FLOATS = ("float32", "float64")
EXACT = (*FLOATS, "int32", "int64", "bool")


def fold_constants(module: tvm.IRModule) -> tvm.IRModule:
    """The module with the arithmetic on constants in `main`, and the shapes of values, replaced by the results."""
    folder = _Fold(module)
    folder.builder_.update_func(module.get_global_var("main"), folder.visit_expr(module["main"]))
    return folder.builder_.get()


@mutator
class _Fold(PyExprMutator):
    """Replaces calls whose operands are all constants."""

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        """Fold what is arithmetic, a change of shape, an element picked, or a shape."""
        visited = self.visit_expr_post_order(call)
        name = visited.op.name if isinstance(visited.op, tvm.ir.Op) else ""
        if name == "relax.shape_to_tensor":
            return self._shape(visited)
        if name in MOVES:
            values = self._constants(visited.args[:1], EXACT)
            return visited if values is None else _constant(values[0].reshape([int(n) for n in call.ty.shape]))
        if name == "relax.take":
            return self._element(visited)
        function = ARITHMETIC.get(name) or OF_FLOATS.get(name)
        values = function and self._constants(visited.args, FLOATS if name in OF_FLOATS else EXACT)
        if not function or not values:
            return visited
        with np.errstate(all="ignore"):
            return _constant(np.asarray(function(*values)))

    def _constants(self, operands: list[relax.Expr], dtypes: tuple[str, ...]) -> list[Array] | None:
        """The numbers of constants, or of variables bound to some; None unless all operands are that, of `dtypes`."""
        values = []
        for operand in operands:
            bound = self._bound(operand)
            if not isinstance(bound, tvm.ir.GenericConst) or str(bound.ty.dtype.dtype) not in dtypes:
                return None
            values.append(bound.value.numpy())
        return values

    def _bound(self, operand: relax.Expr) -> relax.Expr | None:
        return self.lookup_binding(operand) if isinstance(operand, relax.Var) else operand

    def _shape(self, call: relax.Call) -> relax.Expr:
        """A shape as a tensor, where it is that of a value."""
        made = self._bound(call.args[0])
        if not isinstance(made, relax.Call) or not isinstance(made.op, tvm.ir.Op) or made.op.name != "relax.shape_of":
            return call
        return _constant(np.array([int(extent) for extent in made.args[0].ty.shape], np.int64))

    def _element(self, call: relax.Call) -> relax.Expr:
        """One element of a list of constants."""
        values = self._constants(call.args, EXACT)
        if values is None or values[0].ndim != 1 or values[1].ndim or not 0 <= int(values[1]) < len(values[0]):
            return call
        return _constant(np.asarray(values[0][int(values[1])]))


def _constant(values: Array) -> relax.Expr:
    """A constant of just this dtype; TVM would make a single integer one of 32 bits."""
    return relax.const(values, str(values.dtype))
