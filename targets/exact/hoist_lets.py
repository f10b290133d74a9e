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


def hoist_lets(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function with every `Let` of a stored or bound value turned into `Bind` statements in front of it."""

    def hoist(statement: Any, mutator: Any) -> Any:
        bound: list[tirx.Stmt] = []
        fresh: dict[tirx.Var, tirx.Var] = {}

        def bind(let: Any, inner: Any) -> Any:
            value = inner.mutate(let.value)
            fresh[let.var] = tirx.Var(let.var.name, let.var.ty)
            bound.append(tirx.stmt.Bind(fresh[let.var], value))
            return inner.mutate(let.body)

        def rename(var: Any, _inner: Any) -> Any:
            return fresh.get(var, var)

        value = tvm_ffi.structural_mutate(statement.value, [(tirx.Let, bind), (tirx.Var, rename)])
        if not bound:
            return statement
        if isinstance(statement, tirx.BufferStore):
            last: tirx.Stmt = tirx.BufferStore(statement.buffer, value, statement.indices)
        else:
            last = tirx.stmt.Bind(statement.var, value)
        return tirx.SeqStmt([*bound, last])

    handlers = [(tirx.BufferStore, hoist), (tirx.stmt.Bind, hoist)]
    return func.with_body(tvm_ffi.structural_mutate(func.body, handlers))
