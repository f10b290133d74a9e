"""Builds a kernel with TVM's own lowering plus our passes, and calls it on NumPy arrays."""

from __future__ import annotations

import platform
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import tvm
import tvm_ffi
from tvm import te, tirx
from tvm.target import codegen
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.program.equal_functions import EqualFunctions
from astroedge.targets.exact.exact_intrinsics import exact_intrinsics
from astroedge.targets.exact.fence_products import FenceProducts
from astroedge.targets.tir_builder import kernel, load, store
from astroedge.workflows.compile_graph import runs_here

X86_64_V3: dict[str, Any] = {"kind": "llvm", "mtriple": "x86_64-linux-gnu", "mcpu": "x86-64-v3"}
X86_64_V4: dict[str, Any] = {"kind": "llvm", "mtriple": "x86_64-linux-gnu", "mcpu": "x86-64-v4"}
CORTEX_A72: dict[str, Any] = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a72"}
NATIVE: dict[str, Any] = {"kind": "llvm", "mcpu": codegen.llvm_get_system_cpu()}
OLDEST: dict[str, Any] = {"kind": "llvm", "mcpu": "x86-64-v2" if platform.machine() == "x86_64" else "generic"}
RUNNABLE = (NATIVE, OLDEST)
"""Targets whose code runs here; they differ in vector width and in having a fused multiply-add."""

LEVELS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")
WIDTHS: dict[str, dict[str, Any]] = (
    {name: {**X86_64_V3, "mcpu": name} for name in LEVELS if runs_here(resolve_target(name))}
    if platform.machine() == "x86_64"
    else {"native": NATIVE}
)
"""The vector widths this processor has, by the name of the target."""

FUSED = re.compile(r"\b(v?fn?m(add|sub|la|ls)\w*)\s")
SCALAR = re.compile(r"\t(v?(add|mul)ss|v?pextr|v?pinsr|[us]mov)")
SPILL = re.compile(r"mov\w+\s.*(%[xyz]mm\d+, .*\(%rsp|\(%rsp\), %[xyz]mm)|\t(ldr|str|ldp|stp)\tq.*\[sp")
"""Instructions that round a product and a sum once, that add or move single numbers, that put a vector on the stack."""


_BUILT: defaultdict[tuple[str, bool], EqualFunctions[Any]] = defaultdict(EqualFunctions)


def build(func: tirx.PrimFunc, target: dict[str, Any] = NATIVE, *, exact: bool = True) -> Any:
    """The kernel compiled for `target` as a module with one function, `kernel`; `exact=False` leaves our passes out.

    Many tests call equal kernels on other numbers; those are compiled once.
    """
    return _BUILT[repr(target), exact].get(func, partial(_compile, func, target, exact))


def _compile(func: tirx.PrimFunc, target: dict[str, Any], exact: bool) -> Any:
    bound = tvm.target.Target(target)
    func = exact_intrinsics(func) if exact else func
    module = tvm.IRModule({"kernel": func.with_attr("global_symbol", "kernel")})
    module = tirx.transform.BindTarget(bound.with_host(bound))(module)
    lower, finalize, _ = tirx.get_tir_pipeline("s_tir")
    module = lower(module)
    if exact:
        module = FenceProducts()(module)
    return tvm.get_global_func("target.build.llvm")(finalize()(module), bound)


def call(module: Any, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Run the kernel on copies of the arrays, which are 64-byte aligned; returns the outputs."""
    tensors = [tvm.runtime.tensor(np.asarray(array, order="C")) for array in (*inputs, *outputs)]
    module["kernel"](*tensors)
    return [tensor.numpy() for tensor in tensors[len(inputs) :]]


def run(
    func: tirx.PrimFunc, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], target: dict[str, Any] = NATIVE
) -> list[np.ndarray]:
    """Build and call."""
    return call(build(func, target), inputs, outputs)


def assembly(func: tirx.PrimFunc, target: dict[str, Any], *, exact: bool = True) -> str:
    """The assembly of the kernel's own function, without the wrapper that checks its arguments."""
    text = str(build(func, target, exact=exact).inspect_source("asm"))
    return text[text.index("kernel_compute_:") :].split("Lfunc_end")[0]


def nodes_in(func: tirx.PrimFunc, kind: type) -> list[Any]:
    """The statements or expressions of a kind in a function, those that come first in the text first."""
    found: list[Any] = []
    tvm_ffi.structural_walk(func.body, (kind, found.append))
    return found


def innermost_loops(code: str) -> list[list[str]]:
    """The instructions of every loop of an assembly text that holds no other label."""
    lines = [line for line in code.splitlines() if not line.startswith(("\t.", ".Ltmp"))]
    labels = {line[:-1]: index for index, line in enumerate(lines) if line.endswith(":")}
    loops = []
    for index, line in enumerate(lines):
        target = re.match(r"\t(?:j\w+|b\.\w+|cbn?z|tbn?z)\s.*?(\.LBB\w+)$", line)
        start = labels.get(target[1], index) if target else index
        body = lines[start + 1 : index]
        if start < index and not any(item.endswith(":") for item in body):
            loops.append(body)
    return loops


def unary(function: Callable[[Any], Any], size: int, lanes: int = 16) -> tirx.PrimFunc:
    """Kernel (x, y): y = function(x) on `size` float32 numbers, in vectors."""
    with kernel("unary") as built:
        x, y = built.argument("x", (size,), "float32"), built.argument("y", (size,), "float32")
        with tir.serial(0, size // lanes) as index:
            store(y, index * lanes, lanes, function(load(x, index * lanes, lanes)))
    return built.function


def operator(inputs: Sequence[Any], outputs: Sequence[Any]) -> tirx.PrimFunc:
    """TVM's unscheduled loops for a TE computation."""
    return te.create_prim_func([*inputs, *outputs])


def same_bits(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether two arrays hold the same bytes (any NaN counts as any other)."""
    if left.dtype != right.dtype or left.size != right.size:
        return False
    left, right = left.ravel(), right.ravel()
    if left.dtype.kind != "f":
        return bool(np.array_equal(left, right))
    unsigned = np.dtype(f"u{left.itemsize}")
    return bool(np.all((left.view(unsigned) == right.view(unsigned)) | (np.isnan(left) & np.isnan(right))))
