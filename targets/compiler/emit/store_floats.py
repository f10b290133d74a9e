"""Named floats → arrays of one element, which LLVM keeps in registers.

TVM's code generator tells what it knows of a value to its analyser each time that one gets a name, and for the
expressions of an exact power that takes fifty times as long as what LLVM then does with them. Of floats nobody ever
asks what was learnt, unlike of the indices of arrays.
"""

from __future__ import annotations

from typing import Any

import tvm
import tvm_ffi
from tvm import tirx

from astroedge.targets.tir_builder import rewrite


def store_floats(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function with each named float, or vector of floats, as an array of one element."""
    arrays: dict[tirx.Var, Any] = {}

    def store(bind: Any, mutator: Any) -> Any:
        bind = mutator.default_mutate(bind)
        dtype = str(bind.var.ty)
        if not dtype.startswith("float"):
            return bind
        array = tirx.decl_buffer((1,), dtype, name=bind.var.name, scope="local")
        arrays[bind.var] = array
        return tirx.SeqStmt([tirx.AllocBuffer(array), tirx.BufferStore(array, bind.value, [0])])

    def read(var: Any) -> Any:
        return tirx.BufferLoad(arrays[var], [0]) if var in arrays else var

    body = rewrite(func.body, (tirx.Bind, store))
    return func.with_body(tvm_ffi.structural_map(body, (tirx.Var, read)) if arrays else body)


def StoreFloats() -> tvm.ir.transform.Pass:
    """`store_floats` as a pass over every PrimFunc of a module."""
    return tirx.transform.prim_func_pass(lambda func, _mod, _ctx: store_floats(func), opt_level=0, name="StoreFloats")
