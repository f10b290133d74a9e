"""Builds a kernel with TVM's own lowering plus the product fence, and calls it on NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import tvm
from tvm import tirx

from astroedge.targets.compiler.fence_products import FenceProducts

X86_64_V3: dict[str, Any] = {"kind": "llvm", "mtriple": "x86_64-unknown-linux-gnu", "mcpu": "x86-64-v3"}
CORTEX_A72: dict[str, Any] = {"kind": "llvm", "mtriple": "aarch64-unknown-linux-gnu", "mcpu": "cortex-a72"}


def build(func: tirx.PrimFunc, target: dict[str, Any] = X86_64_V3, *, fenced: bool = True) -> Any:
    """The kernel, lowered and compiled for `target` as a module with one function, `kernel`."""
    bound = tvm.target.Target(target)
    module = tvm.IRModule({"kernel": func.with_attr("global_symbol", "kernel")})
    module = tirx.transform.BindTarget(bound.with_host(bound))(module)
    lower, finalize, _ = tirx.get_tir_pipeline("s_tir")
    module = lower(module)
    if fenced:
        module = FenceProducts()(module)
    return tvm.get_global_func("target.build.llvm")(finalize()(module), bound)


def call(module: Any, arrays: list[np.ndarray], outputs: list[np.ndarray]) -> list[np.ndarray]:
    """Runs the kernel on copies of the arrays, 64-byte aligned; returns the outputs as NumPy arrays."""
    tensors = [tvm.runtime.tensor(np.asarray(array, order="C")) for array in (*arrays, *outputs)]
    module["kernel"](*tensors)
    return [tensor.numpy() for tensor in tensors[len(arrays) :]]


def assembly(module: Any) -> str:
    """The text assembly of a built module."""
    return str(module.inspect_source("asm"))
