"""A Boolean as a number is a selection of 1 and 0, which code generation can do for whole vectors.

TVM's LLVM back end fails on the conversion of a vector of Booleans; the selection becomes one masked move.
"""

from __future__ import annotations

from typing import Any

from tvm import tirx

from astroedge.targets.tir_builder import rewrite


def select_casts(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function with every conversion of a Boolean to a number written as a selection."""

    def select(cast: Any, mutator: Any) -> Any:
        cast = mutator.default_mutate(cast)
        target = str(cast.ty.dtype)
        if not str(cast.value.ty.dtype).startswith("bool") or target.startswith("bool"):
            return cast
        return tirx.Select(cast.value, tirx.const(1, target), tirx.const(0, target))

    return func.with_body(rewrite(func.body, (tirx.Cast, select)))
