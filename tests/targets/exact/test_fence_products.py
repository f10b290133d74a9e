"""Every float product is fenced, so that no target fuses it with a sum."""

from __future__ import annotations

import pytest
import tvm
from tvm import te, tirx

from astroedge.errors import CompileError
from astroedge.targets.exact.fence_products import fence_products, is_fence
from astroedge.targets.tir_builder import kernel, load, store
from tests.support.kernels.harness import CORTEX_A72, FUSED, X86_64_V3, assembly


def _multiply_add(lanes: int, dtype: str = "float32") -> tirx.PrimFunc:
    """y = x·x + x in vectors of `lanes`."""
    with kernel("multiply_add") as built:
        x, y = built.argument("x", (lanes,), dtype), built.argument("y", (lanes,), dtype)
        value = load(x, tirx.const(0, "int32"), lanes)
        store(y, tirx.const(0, "int32"), lanes, value * value + value)
    return built.function


@pytest.mark.guard
@pytest.mark.parametrize("target", [X86_64_V3, CORTEX_A72], ids=["x86-64-v3", "cortex-a72"])
@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_no_product_is_fused(target: dict[str, object], lanes: int) -> None:
    """Without the pass LLVM fuses x·x + x on both processors; with it the product is an instruction of its own.

    A guard: another processor would show other numbers, this one need not.
    """
    assert FUSED.search(assembly(_multiply_add(lanes), target, exact=False))
    assert not FUSED.search(assembly(_multiply_add(lanes), target))


@pytest.mark.guard
@pytest.mark.parametrize("target", [X86_64_V3, CORTEX_A72], ids=["x86-64-v3", "cortex-a72"])
def test_no_quotient_is_fused(target: dict[str, object]) -> None:
    """x / 512 + x is a product for LLVM; it is not fused either.

    A guard: another processor would show other numbers, this one need not.
    """
    with kernel("divide_add") as built:
        x, y = built.argument("x", (4,), "float32"), built.argument("y", (4,), "float32")
        value = load(x, tirx.const(0, "int32"), 4)
        store(y, tirx.const(0, "int32"), 4, value / tirx.const(512.0, "float32x4") + value)
    assert FUSED.search(assembly(built.function, target, exact=False))
    assert not FUSED.search(assembly(built.function, target))


def test_a_second_run_changes_nothing() -> None:
    """A product that is fenced already is left alone."""
    once = fence_products(_multiply_add(4))
    assert str(once) == str(fence_products(once))
    assert str(once).count("arithmetic.fence") == 1


def test_integer_products_stay() -> None:
    """Only floats round, so integer products (indices above all) get no fence."""
    assert "arithmetic.fence" not in str(fence_products(_multiply_add(4, "int32")))


def test_a_product_fused_before_is_refused() -> None:
    """After LowerIntrin the products are gone into llvm.fmuladd; running then is an error, not a silent miss."""
    lowered = tirx.transform.LowerIntrin()(
        tirx.transform.BindTarget(tvm.target.Target(X86_64_V3))(tvm.IRModule({"main": _multiply_add(1)}))
    )
    with pytest.raises(CompileError, match="fence earlier"):
        fence_products(lowered["main"].with_attr("global_symbol", "main"))


def test_is_fence_knows_a_fence_from_other_calls() -> None:
    """rint is a pure LLVM call too, but no fence."""
    x = te.var("x", "float32")
    assert is_fence(tirx.call_llvm_pure_intrin("float32", "llvm.arithmetic.fence", x))
    assert not is_fence(tirx.call_llvm_pure_intrin("float32", "llvm.rint", x))
    assert not is_fence(x)
