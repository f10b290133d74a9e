"""Give every call a scheduled function; a function that nobody scheduled is an error, never shipped slow."""

from __future__ import annotations

from dataclasses import replace

from astroedge.targets.kernels.elementwise import schedule_elementwise, schedule_reduction
from tvm import te, tirx

from astroedge.targets.board_file import Target
from astroedge.targets.compiler.blocks import has_reduction
from astroedge.targets.compiler.step_program import Call, Value

ELEMENT_WISE = "element-wise"


def schedule_calls(calls: list[Call], target: Target) -> list[Call]:
    """Schedule what fusion left as plain loops; kernels come scheduled.

    Raises CompileError naming the function for which there is no schedule.
    """
    done: dict[tirx.PrimFunc, tuple[str, tirx.PrimFunc]] = {}
    scheduled = []
    for call in calls:
        if call.kind != ELEMENT_WISE and call.kind != "copy":
            scheduled.append(call)
            continue
        if call.function not in done:
            done[call.function] = _schedule(call, target)
        kind, function = done[call.function]
        scheduled.append(replace(call, function=function, kind=kind if call.kind == ELEMENT_WISE else call.kind))
    return scheduled


def _schedule(call: Call, target: Target) -> tuple[str, tirx.PrimFunc]:
    """The schedule that fits: reductions keep their sequential order, everything else becomes one vector loop."""
    if has_reduction(call.function):
        return "reduction", schedule_reduction(call.function, target)
    return ELEMENT_WISE, schedule_elementwise(call.function, target)


def copy_kernel(value: Value) -> tirx.PrimFunc:
    """A function that copies a value of this shape and dtype."""
    source = te.placeholder(value.shape, value.dtype, "source")
    target = te.compute(value.shape, lambda *index: source(*index), "copied")
    return te.create_prim_func([source, target]).without_attr("global_symbol")
