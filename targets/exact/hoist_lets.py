"""Names bound inside an expression become statements before it.

TVM's simplifier may repeat an expression, and the names bound in it then stand for two values, which later passes
refuse. Bound by a statement, a name is bound once and its value is computed once. Hoisting out of a selection is safe:
the values are pure arithmetic.

`Let` may only stand in stored and bound values.
"""

from __future__ import annotations

from typing import Any

import tvm_ffi
from tvm import tirx

from astroedge.targets.tir_builder import rewrite


def hoist_lets(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function with every `Let` of a stored or bound value turned into `Bind` statements in front of it."""

    def hoist(statement: Any, _: Any) -> Any:
        if not _holds_let(statement.value):
            return statement
        bound: list[tirx.Stmt] = []
        fresh: dict[tirx.Var, tirx.Var] = {}

        def bind(let: Any, inner: Any) -> Any:
            value = inner.mutate(let.value)
            fresh[let.var] = tirx.Var(let.var.name, let.var.ty)
            bound.append(tirx.stmt.Bind(fresh[let.var], value))
            return inner.mutate(let.body)

        def rename(var: Any, _inner: Any) -> Any:
            return fresh.get(var, var)

        value = rewrite(statement.value, (tirx.Let, bind), (tirx.Var, rename))
        if isinstance(statement, tirx.BufferStore):
            last: tirx.Stmt = tirx.BufferStore(statement.buffer, value, statement.indices)
        else:
            last = tirx.stmt.Bind(statement.var, value)
        return tirx.SeqStmt([*bound, last])

    if not _holds_let(func.body):
        return func
    return func.with_body(rewrite(func.body, ((tirx.BufferStore, tirx.stmt.Bind), hoist)))


def _holds_let(node: Any) -> bool:
    """Whether a `Let` is anywhere in a statement or an expression."""
    return tvm_ffi.structural_walk(node, (tirx.Let, lambda _: tvm_ffi.VisitInterrupt(None))) is not None
