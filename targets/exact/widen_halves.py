"""float16 on processors that lack something for it: to float32 by integer operations, and fences around it.

LLVM would call a function of the C library there, and a compiled step has none. A float16 is the float32 with its
exponent moved by 112; only subnormal numbers need a subtraction, which is exact. So the bits are those of the
instruction on every other processor (a NaN stays one).
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import tirx
from tvm.target import codegen

from astroedge.targets.exact.fence_products import fence, is_fence
from astroedge.targets.families import triple_family
from astroedge.targets.tir_builder import rewrite, splat

_MAGNITUDE = 0x7FFF
_EXPONENT = 0x1F << 23
_MOVED = 112 << 23
_STEP = 1 << 23
_SMALLEST_NORMAL = 2.0**-14


def needs_widening(target: tvm.target.Target) -> bool:
    """Whether the processor lacks the conversion."""
    attribute = triple_family(str(target.attrs["mtriple"])).half_attribute
    return attribute != "" and not codegen.target_has_features(attribute, target)


def fences_halves(target: tvm.target.Target) -> bool:
    """Whether LLVM takes a fence around a float16 for a processor."""
    return triple_family(str(target.attrs["mtriple"])).fences_halves


def widen_fences(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function with every fence around a float16 put around the float32 equal to it, which changes no bit."""

    def widen(call: Any, mutator: Any) -> Any:
        call = mutator.default_mutate(call)
        half = str(call.ty.dtype) if is_fence(call) else ""
        if not half.startswith("float16"):
            return call
        return tirx.Cast(half, fence(tirx.Cast(half.replace("float16", "float32"), call.args[1])))

    return func.with_body(rewrite(func.body, (tvm.ir.Call, widen)))


def WidenFences() -> tvm.ir.transform.Pass:
    """`widen_fences` as a pass over every PrimFunc of a module."""
    return tirx.transform.prim_func_pass(lambda func, _mod, _ctx: widen_fences(func), opt_level=0, name="WidenFences")


def widen_halves(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function with every conversion from float16 to float32 written in integer operations."""

    def widen(cast: Any, mutator: Any) -> Any:
        cast = mutator.default_mutate(cast)
        source, wanted = str(cast.value.ty.dtype), str(cast.ty.dtype)
        return _widened(cast.value) if source.startswith("float16") and wanted.startswith("float32") else cast

    return func.with_body(rewrite(func.body, (tirx.Cast, widen)))


def _widened(half: Any) -> Any:
    """The float32 equal to a float16 expression, scalar or vector."""
    _, _, width = str(half.ty.dtype).partition("x")
    lanes = int(width or 1)

    def typed(dtype: str) -> str:
        return f"{dtype}x{lanes}" if lanes > 1 else dtype

    def integer(value: int) -> Any:
        return splat(tirx.const(value, "int32"), lanes)

    pattern = tirx.Cast(typed("int32"), tirx.reinterpret(typed("uint16"), half))
    magnitude = tirx.bitwise_and(pattern, integer(_MAGNITUDE)) << integer(13)
    exponent = tirx.bitwise_and(magnitude, integer(_EXPONENT))
    moved = magnitude + integer(_MOVED)
    normal = tirx.Select(exponent == integer(_EXPONENT), moved + integer(_MOVED), moved)
    one_step_up = tirx.reinterpret(typed("float32"), moved + integer(_STEP))
    subnormal = tirx.reinterpret(typed("int32"), one_step_up - splat(tirx.const(_SMALLEST_NORMAL, "float32"), lanes))
    unsigned = tirx.Select(exponent == integer(0), subnormal, normal)
    sign = (pattern >> integer(15)) << integer(31)
    return tirx.reinterpret(typed("float32"), tirx.bitwise_or(unsigned, sign))
