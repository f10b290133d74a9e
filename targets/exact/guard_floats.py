"""Keep TVM from treating float arithmetic as if it were exact and had no NaN.

Its simplifier takes `(x + y) - y` for x, `x - x` for 0 and `x == x` for True, which is wrong for rounded numbers,
infinities and NaN; a fence around the first operand hides that the two are alike. Its `!=` is False where an operand is
NaN. Its `max` and `min` give the second operand where either is NaN, so that a Relu or a Clip would turn an overflow
into a number; ONNX and PyTorch pass the NaN on.

Requires: nothing; run it before the blocks of a function are put into one another.
Ensures: no rule of the simplifier matches a float difference or comparison for equality; no `max` or `min` of floats.
"""

from __future__ import annotations

from typing import Any

from tvm import tirx

from astroedge.targets.exact.fence_products import fence, is_fence
from astroedge.targets.tir_builder import rewrite


def guard_floats(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function with a fence in each float difference, equality and inequality; extremes that pass a NaN on."""

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

    def extreme(node: Any, mutator: Any) -> Any:
        node = mutator.default_mutate(node)
        return _extreme(type(node), node.a, node.b) if _is_float(node.a) else node

    callbacks = ((tirx.Sub, difference), (tirx.EQ, equal), (tirx.NE, unequal), ((tirx.Max, tirx.Min), extreme))
    return func.with_body(rewrite(func.body, *callbacks))


def _extreme(kind: type, a: Any, b: Any) -> Any:
    """max or min as a selection; a bound that is a constant comes second and costs no test of its own."""
    if isinstance(a, tirx.FloatImm):
        a, b = b, a
    chosen = tirx.Select(a < b if kind is tirx.Max else b < a, b, a)
    return chosen if isinstance(b, tirx.FloatImm) else tirx.Select(tirx.EQ(_hidden(b), b), chosen, b)


def _hidden(value: Any) -> Any:
    return value if is_fence(value) else fence(value)


def _is_float(value: Any) -> bool:
    return "float" in str(value.ty.dtype)
