"""Give every call a scheduled function; a function that nobody scheduled is an error, never shipped slow."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tvm import te, tirx

from astroedge.errors import CompileError
from astroedge.targets.boards.board_file import Target
from astroedge.targets.compiler.program.equal_functions import EqualFunctions
from astroedge.targets.compiler.program.step_program import KernelCall, Value
from astroedge.targets.schedule.vectorize import schedule_blocks
from astroedge.targets.tir_builder import KERNEL_ATTRIBUTE


def schedule_calls(calls: list[KernelCall], target: Target) -> list[KernelCall]:
    """Schedule what fusion left as plain loops; kernels come scheduled.

    Raises CompileError for a function that no schedule covers.
    """
    done: EqualFunctions[tirx.PrimFunc] = EqualFunctions()
    scheduled = []
    for call in calls:
        function = call.function
        if KERNEL_ATTRIBUTE not in function.attrs:
            function = done.get(function, partial(schedule_blocks, function, target))
        kernel = function.attrs.get(KERNEL_ATTRIBUTE)
        if kernel is None:
            raise CompileError(f"The function {call.kind} has no schedule; this is a defect of the compiler.")
        kind = str(kernel) if call.kind == "element-wise" else call.kind
        scheduled.append(replace(call, function=function, kind=kind))
    return scheduled


def copy_kernel(value: Value) -> tirx.PrimFunc:
    """A function that copies a value of this shape and dtype."""
    source = te.placeholder(value.shape, value.dtype, "source")
    target = te.compute(value.shape, lambda *index: source(*index), "copied")
    return te.create_prim_func([source, target]).without_attr("global_symbol")
