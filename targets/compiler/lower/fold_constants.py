"""What is made of constants alone, computed before anything is compiled.

NumPy does it where IEEE 754 leaves it no choice: moves, sums, products, quotients, roots, comparisons. The rest is left
to TVM's own folding, which compiles each expression that it computes, and lowers all others to see whether it can: that
is minutes in a graph of thousands of small operators.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from astroedge.targets.compiler.lower.lowerings.relax_calls import numbers_of, shape_of, stored

Array = NDArray[Any]

ARITHMETIC: dict[str, Callable[..., Array]] = {
    "relax.add": np.add,
    "relax.subtract": np.subtract,
    "relax.multiply": np.multiply,
    "relax.divide": np.divide,
    "relax.sqrt": np.sqrt,
    "relax.negative": np.negative,
    "relax.less": np.less,
    "relax.less_equal": np.less_equal,
    "relax.greater": np.greater,
    "relax.greater_equal": np.greater_equal,
    "relax.equal": np.equal,
    "relax.where": np.where,
}
OF_FLOATS = ("relax.divide", "relax.sqrt", "relax.negative")
VIEWS = frozenset({"relax.reshape", "relax.expand_dims", "relax.squeeze"})
SHAPES = frozenset({"relax.shape_of", "relax.tensor_to_shape", "relax.shape_to_tensor"})


def fold_constants(module: tvm.IRModule) -> tvm.IRModule:
    """`module` with constants in place of what is made of constants alone, to the bit."""
    rewriter = _FoldNumbers(module)
    rewriter.builder_.update_func(module.get_global_var("main"), rewriter.visit_expr(module["main"]))
    cleaned = (relax.transform.CanonicalizeBindings(), relax.transform.DeadCodeElimination())
    folded = tvm.transform.Sequential(cleaned)(rewriter.builder_.get())
    return relax.transform.FoldConstant()(folded) if _is_left(folded["main"]) else folded


def _is_left(main: relax.Function) -> bool:
    """Whether there is still something for TVM: a call whose operands are all known, or one about shapes."""
    bindings = [binding for block in main.body.blocks for binding in block.bindings]
    known = {binding.var for binding in bindings if isinstance(binding.value, tvm.ir.GenericConst)}

    def stored(value: relax.Expr) -> bool:
        if isinstance(value, relax.Tuple):
            return all(stored(item) for item in value.fields)
        return value in known if isinstance(value, relax.Var) else not isinstance(value, relax.Call)

    calls = [binding.value for binding in bindings if isinstance(binding.value, relax.Call)]
    return any(
        all(stored(item) for item in call.args) or (isinstance(call.op, tvm.ir.Op) and call.op.name in SHAPES)
        for call in calls
    )


@mutator
class _FoldNumbers(PyExprMutator):
    def visit_call_(self, call: relax.Call) -> relax.Expr:
        """Replace a call whose operands are stored."""
        visited = self.visit_expr_post_order(call)
        name = visited.op.name if isinstance(visited.op, tvm.ir.Op) else ""
        result = self._computed(visited, name)
        if result is None or result.dtype != call.ty.dtype.dtype or result.shape != shape_of(call):
            return visited
        return stored(result)

    def _computed(self, call: relax.Call, name: str) -> Array | None:
        if name == "relax.shape_to_tensor":
            return self._extents(call.args[0])
        if name == "relax.take":
            data, indices = (self._stored(item) for item in call.args)
            axis = None if call.attrs.axis is None else int(call.attrs.axis)
            return None if data is None or indices is None else np.take(data, indices, axis, mode="clip")
        if name == "relax.strided_slice":
            return self._slice(call)
        if name in VIEWS or name == "relax.permute_dims":
            stored = self._stored(call.args[0])
            if stored is None:
                return None
            if name in VIEWS:
                return stored.reshape(shape_of(call))
            return stored.transpose(None if call.attrs.axes is None else [int(axis) for axis in call.attrs.axes])
        operands = [self._stored(item) for item in call.args] if name in ARITHMETIC else [None]
        kinds = "f" if name in OF_FLOATS else "fiub"
        if any(item is None or item.dtype.kind not in kinds for item in operands):
            return None
        with np.errstate(all="ignore"):
            return np.asarray(ARITHMETIC[name](*operands))

    def _slice(self, call: relax.Call) -> Array | None:
        stored = self._stored(call.args[0])
        if stored is None:
            return None
        axes, *bounds = ([int(item) for item in operand.fields] for operand in call.args[1:])
        places = [slice(None)] * stored.ndim
        for axis, *limits in zip(axes, *bounds, strict=True):
            places[axis] = slice(*limits)
        return stored[tuple(places)]

    def _extents(self, shape: relax.Expr) -> Array | None:
        """The sizes that relax.shape_of gives, as numbers."""
        value = self.lookup_binding(shape) if isinstance(shape, relax.Var) else shape
        if not isinstance(value, relax.Call) or value.op.name != "relax.shape_of":
            return None
        return np.array(shape_of(value.args[0]), np.int64)

    def _stored(self, value: relax.Expr) -> Array | None:
        """The numbers of a constant, or of a variable that is one."""
        if isinstance(value, relax.Var):
            value = self.lookup_binding(value)
        return numbers_of(value) if isinstance(value, tvm.ir.GenericConst) else None
