"""A scheduled kernel → plain loops with the same arithmetic on every processor: the passes over one function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import tvm
from tvm import s_tir, tirx

from astroedge.targets.exact.exact_intrinsics import exact_intrinsics
from astroedge.targets.exact.guard_divisions import guard_divisions
from astroedge.targets.exact.hoist_lets import hoist_lets
from astroedge.targets.exact.select_casts import select_casts
from astroedge.targets.exact.widen_halves import needs_widening, widen_halves
from astroedge.targets.pass_list import Pass, run_passes


@dataclass
class LoweredKernel:
    """A kernel on its way: `function` begins scheduled, with blocks and guarded floats (exact/guard_floats.py)."""

    function: tirx.PrimFunc
    target: tvm.target.Target | None
    math: str


KERNEL_FACTS = {
    "function.plain_reductions": "the first value of a reduction is a statement like any other",
    "function.allocated": "every array of the kernel's own is allocated where all its uses lie",
    "function.opaque": "blocks have no axes of their own: loop variables stand in their place",
    "function.compact": "an array of the kernel's own is as small as what is used of it",
    "function.unmatched": "no part of an array has a name of its own",
    "function.simplified": "indices and conditions are as simple as the blocks allow",
    "function.loops": "no block is left, and nothing can be inlined into anything any more",
    "function.guarded": "no integer is divided by 0, nor the lowest one by −1; constant divisors stay as they are",
    "function.selected": "no Boolean is converted to a number",
    "function.exact": "no function is called that the processor does not round by itself, and float to integer is "
    "bounded; with fast math, what has no exact form is left to the C library",
    "function.statements": "no name is bound inside an expression",
    "function.widened": "no float16 is converted to float32 where the processor has no instruction for it",
}
"""What each fact says of a kernel."""


def _tvm(
    make: Callable[[], tvm.ir.transform.Pass], what: str, *, requires: tuple[str, ...] = (), ensures: tuple[str, ...]
) -> Pass[LoweredKernel]:
    """A pass of TVM's over modules, on one function."""

    def run(kernel: LoweredKernel) -> None:
        kernel.function = make()(tvm.IRModule({"kernel": kernel.function}))["kernel"]

    return Pass(make.__name__, "TVM", what, requires, ensures, run)


def _own(
    function: Callable[[tirx.PrimFunc], tirx.PrimFunc], *, requires: tuple[str, ...], ensures: tuple[str, ...]
) -> Pass[LoweredKernel]:
    """A rewriting of one function."""

    def run(kernel: LoweredKernel) -> None:
        kernel.function = function(kernel.function)

    return Pass.of(function, requires=requires, ensures=ensures, run=run)


def _exact(kernel: LoweredKernel) -> None:
    kernel.function = exact_intrinsics(kernel.function, required=kernel.math == "exact")


def _widen(kernel: LoweredKernel) -> None:
    if kernel.target is not None and needs_widening(kernel.target):
        kernel.function = widen_halves(kernel.function)


LOOP_PASSES: tuple[Pass[LoweredKernel], ...] = (
    _tvm(
        s_tir.transform.LowerInitBlock,
        "Write the first value of a reduction as a statement under a condition.",
        ensures=("function.plain_reductions",),
    ),
    _tvm(
        s_tir.transform.PlanAndUpdateBufferAllocationLocation,
        "Allocate arrays in the innermost block that holds all their uses.",
        ensures=("function.allocated",),
    ),
    _tvm(
        s_tir.transform.ConvertBlocksToOpaque,
        "Put what the axes of a block are bound to in their place.",
        requires=("function.plain_reductions", "function.allocated"),
        ensures=("function.opaque",),
    ),
    _tvm(
        s_tir.transform.CompactBufferAllocation,
        "Shrink arrays to what is used of them.",
        requires=("function.opaque", "function.allocated"),
        ensures=("function.compact",),
    ),
    _tvm(
        s_tir.transform.LowerMatchBuffer,
        "Write a named part of an array as the array.",
        requires=("function.opaque", "function.compact"),
        ensures=("function.unmatched",),
    ),
    _tvm(
        s_tir.transform.StmtSimplify,
        "Simplify, knowing the bounds that blocks state.",
        requires=("function.unmatched",),
        ensures=("function.simplified",),
    ),
    _tvm(
        s_tir.transform.LowerOpaqueBlock,
        "Leave the loops and statements of every block, and its allocations.",
        requires=("function.opaque", "function.compact", "function.unmatched"),
        ensures=("function.loops",),
    ),
    _own(guard_divisions, requires=("function.loops",), ensures=("function.guarded",)),
    _own(select_casts, requires=("function.loops",), ensures=("function.selected",)),
)
"""What makes a kernel loops that trap nowhere, in this order; for a GPU the rest is done in `targets/cuda`."""

KERNEL_PASSES: tuple[Pass[LoweredKernel], ...] = (
    *LOOP_PASSES,
    Pass.of(exact_intrinsics, requires=("function.loops",), ensures=("function.exact",), run=_exact),
    _own(hoist_lets, requires=("function.exact",), ensures=("function.statements",)),
    Pass.of(widen_halves, requires=("function.exact",), ensures=("function.widened",), run=_widen),
)
"""All that is done to one kernel, in this order."""


def lower_kernel(function: tirx.PrimFunc, target: tvm.target.Target, math: str) -> tirx.PrimFunc:
    """Lower a scheduled kernel.

    Raises UnsupportedOpError for a function without an exact form where `math` is "exact".
    """
    kernel = LoweredKernel(function.without_attr("global_symbol"), target, math)
    run_passes(KERNEL_PASSES, kernel)
    return kernel.function


def lower_to_loops(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """Lower a scheduled kernel as far as no processor plays a part."""
    kernel = LoweredKernel(function.without_attr("global_symbol"), None, "exact")
    run_passes(LOOP_PASSES, kernel)
    return kernel.function
