"""Keep integer divisions from ending the process.

Division by zero, and the lowest integer by −1, trap on x86 and give some number on ARM. The divisor is replaced by 1 in
both cases, on every processor: x / 0 is x, x mod 0 is 0, and the lowest integer by −1 is itself.
Divisions by a constant (of loop indices above all) stay as they are.
"""

from __future__ import annotations

from typing import Any

from tvm import tirx

from astroedge.targets.tir_builder import rewrite

_DIVISIONS = (tirx.Div, tirx.Mod, tirx.FloorDiv, tirx.FloorMod)


def guard_divisions(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function with every integer divisor that is no constant bounded away from what traps."""

    def guard(node: Any, mutator: Any) -> Any:
        node = mutator.default_mutate(node)
        dtype = str(node.a.ty.dtype)
        if not dtype.startswith(("int", "uint")) or isinstance(node.b, tirx.IntImm):
            return node
        one, zero = tirx.const(1, dtype), tirx.const(0, dtype)
        traps = node.b == zero
        if dtype.startswith("int"):
            lowest = tirx.all(node.a == tirx.min_value(dtype), node.b == tirx.const(-1, dtype))
            traps = tirx.any(traps, lowest)
        return type(node)(node.a, tirx.Select(traps, one, node.b))

    return func.with_body(rewrite(func.body, (_DIVISIONS, guard)))
