"""float16 becomes float32 without help from a library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tvm
from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.exact.fence_products import fence, is_fence
from astroedge.targets.exact.widen_halves import fences_halves, needs_widening, widen_fences, widen_halves
from astroedge.targets.kernels.stored_weights import cast
from astroedge.targets.tir_builder import kernel, load, rewrite, store
from tests.support.kernels.harness import CORTEX_A72, RUNNABLE, X86_64_V3, assembly, run, same_bits

X86_64_V2: dict[str, Any] = {"kind": "llvm", "mtriple": "x86_64-linux-gnu", "mcpu": "x86-64-v2"}
PATTERNS = np.arange(2**16, dtype=np.uint16).view(np.float16)


def _widen(size: int, lanes: int) -> tirx.PrimFunc:
    with kernel("widen") as built:
        x, y = built.argument("x", (size,), "float16"), built.argument("y", (size,), "float32")
        with tir.serial(0, size // lanes) as index:
            store(y, index * lanes, lanes, cast(load(x, index * lanes, lanes), "float32", lanes))
    return built.function


@pytest.mark.parametrize("lanes", [1, 4, 16])
@pytest.mark.parametrize("target", RUNNABLE)
def test_every_float16_becomes_the_equal_float32(target: dict[str, Any], lanes: int) -> None:
    """All 65,536 patterns, signs of zero, subnormal numbers and infinities included."""
    result = run(widen_halves(_widen(PATTERNS.size, lanes)), [PATTERNS], [np.zeros(PATTERNS.size, np.float32)], target)
    assert same_bits(result[0], PATTERNS.astype(np.float32))


@pytest.mark.guard
def test_vectors_are_converted_without_a_call() -> None:
    """On the oldest x86 LLVM calls a function for each number; the integer form has none and stays in vectors.

    A guard: slow code computes the same numbers.
    """
    assert "call" in assembly(_widen(64, 16), X86_64_V2)
    code = assembly(widen_halves(_widen(64, 16)), X86_64_V2)
    assert "call" not in code
    assert "pextr" not in code


def test_fence_around_a_half_is_put_around_the_float32_equal_to_it() -> None:
    """LLVM for 32-bit ARM takes no fence of float16; those of other dtypes stay, and the conversions change no bit."""
    with kernel("fenced") as built:
        x, y = built.argument("x", (PATTERNS.size,), "float16"), built.argument("y", (PATTERNS.size,), "float32")
        with tir.serial(0, PATTERNS.size) as index:
            store(y, index, 1, fence(cast(fence(load(x, index, 1)), "float32", 1)))
    widened = widen_fences(built.function)
    fences: list[str] = []

    def note(call: Any, mutator: Any) -> Any:
        if is_fence(call):
            fences.append(str(call.ty.dtype))
        return mutator.default_mutate(call)

    rewrite(widened.body, (tvm.ir.Call, note))
    assert fences == ["float32", "float32"]
    assert not fences_halves(tvm.target.Target({"kind": "llvm", "mtriple": "arm-linux-gnueabihf"}))
    result = run(widened, [PATTERNS], [np.zeros(PATTERNS.size, np.float32)], RUNNABLE[-1])
    assert same_bits(result[0], PATTERNS.astype(np.float32))


def test_only_x86_without_the_instruction_needs_it() -> None:
    """x86-64-v3 and every aarch64 convert by an instruction."""
    needs = [needs_widening(tvm.target.Target(target)) for target in (X86_64_V2, X86_64_V3, CORTEX_A72)]
    assert needs == [True, False, False]
