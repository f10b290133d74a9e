"""Keep every floating-point product rounded on its own, so that no target contracts `a * b + c` into one rounding.

TVM's LLVM back end allows contraction everywhere (`FPOpFusion::Fast`), and whether LLVM then uses a fused
multiply-add depends on the processor, the vector width and the neighbouring code: the same step gives other bits on
other machines. `llvm.arithmetic.fence` around the product forbids it and costs no instruction. Quotients are fenced
too: LLVM turns a division by a power of two into a product.

It comes after the last pass that changes arithmetic and before `LowerIntrin`, which turns `a * b + c` into
`llvm.fmuladd` (that is refused here: it would be too late). Running it twice changes nothing.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import tvm
from tvm import tirx
from tvm.target import codegen

from astroedge.errors import CompileError
from astroedge.targets.tir_builder import rewrite

_FENCE = "llvm.arithmetic.fence"


def fence(value: Any, *, pure: bool = True) -> Any:
    """`value` (a float expression, scalar or vector) as an opaque value that no simplifier or back end looks into.

    One that is not `pure` counts as having a side effect and cannot become a vector any more.
    """
    call = tirx.call_llvm_pure_intrin if pure else tirx.call_llvm_intrin
    return call(value.ty, _number(_FENCE), value)


def is_fence(expression: Any) -> bool:
    """Whether the expression is a call of `llvm.arithmetic.fence`."""
    return _called(expression) == _number(_FENCE)


def _called(expression: Any) -> int | None:
    """The number of the LLVM intrinsic that an expression calls, None for any other expression."""
    if isinstance(expression, tvm.ir.Call) and expression.op.same_as(_pure_call()):
        return int(expression.args[0].value)
    return None


@cache
def _pure_call() -> tvm.ir.Op:
    return tvm.ir.Op.get("tirx.call_llvm_pure_intrin")


@cache
def _number(intrinsic: str) -> int:
    return int(codegen.llvm_lookup_intrinsic_id(intrinsic))


def fence_products(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function with a fence around each float product and quotient, vectors included; integers stay as they are.

    Raises CompileError if the function already has fused products.
    """
    fused: list[Any] = []  # an exception that crosses TVM's C++ loses its class

    def wrap(product: Any, mutator: Any) -> Any:
        product = mutator.default_mutate(product)
        return fence(product) if "float" in str(product.ty) else product

    def keep(call: Any, mutator: Any) -> Any:
        called = _called(call)
        if called == _number(_FENCE) and isinstance(value := call.args[1], (tirx.Mul, tirx.Div)):
            product = mutator.default_mutate(value)
            return call if product.same_as(value) else fence(product)
        if called == _number("llvm.fmuladd"):
            fused.append(call)
        return mutator.default_mutate(call)

    body = rewrite(func.body, ((tirx.Mul, tirx.Div), wrap), (tvm.ir.Call, keep))
    if fused:
        raise CompileError(
            f"{func.attrs.get('global_symbol', 'A kernel')} has fused products before they were fenced; fence earlier."
        )
    return func.with_body(body)


def FenceProducts() -> tvm.ir.transform.Pass:
    """`fence_products` as a pass over every PrimFunc of a module."""
    return tirx.transform.prim_func_pass(
        lambda func, _mod, _ctx: fence_products(func), opt_level=0, name="FenceProducts"
    )
