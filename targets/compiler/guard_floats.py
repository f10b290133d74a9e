"""Keep TVM's simplifier from rewriting float arithmetic as if it were exact.

It takes `(x + y) - y` for x, `x - x` for 0 and `x == x` for True, which is wrong for rounded numbers, infinities and
NaN; and its `!=` is False where an operand is NaN. A fence around the first operand hides that the two are alike.

Requires: nothing; run it before the blocks of a function are put into one another.
Ensures: no rule of the simplifier matches a float difference or comparison for equality.
"""

from __future__ import annotations

from typing import Any

import tvm_ffi
from tvm import tirx

from astroedge.targets.compiler.fence_products import fence, is_fence


def guard_floats(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function with a fence in each float difference, equality and inequality."""

    def difference(node: Any, mutator: Any) -> Any:
        node = mutator.default_mutate(node)
        return tirx.Sub(_hidden(node.a), node.b) if _is_float(node.a) else node

    def equal(node: Any, mutator: Any) -> Any:
        node = mutator.default_mutate(node)
        return tirx.EQ(_hidden(node.a), node.b) if _is_float(node.a) else node

    def unequal(node: Any, mutator: Any) -> Any:
        node = mutator.default_mutate(node)
        if not _is_float(node.a):
            return node
        false, true = tirx.const(False, "bool"), tirx.const(True, "bool")
        return tirx.Select(tirx.EQ(_hidden(node.a), node.b), false, true)

    callbacks = [(tirx.Sub, difference), (tirx.EQ, equal), (tirx.NE, unequal)]
    return func.with_body(tvm_ffi.structural_mutate(func.body, callbacks))


def _hidden(value: Any) -> Any:
    return value if is_fence(value) else fence(value)


def _is_float(value: Any) -> bool:
    return "float" in str(value.ty.dtype)
