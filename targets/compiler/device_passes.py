"""Every pass from the step graph to the manifest of a step that a GPU computes; which list a target has; all tables.

    python -m astroedge.targets.compiler.device_passes

prints the tables of docs/passes.md.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from astroedge.targets.boards.board_file import Target
from astroedge.targets.compiler.compilation import Compilation
from astroedge.targets.compiler.cuda.build_device import build_device
from astroedge.targets.compiler.cuda.choose_device_kernels import choose_device_kernels
from astroedge.targets.compiler.cuda.divide_calls import DeviceForm, divide_calls
from astroedge.targets.compiler.cuda.kernel_text import kernel_text
from astroedge.targets.compiler.cuda.levels import order_by_levels, points_read, sort_plan
from astroedge.targets.compiler.cuda.repeat_calls import place_own, repeat_calls
from astroedge.targets.compiler.emit.lower_kernel import KERNEL_FACTS, KERNEL_PASSES
from astroedge.targets.compiler.emit.lower_module import MODULE_FACTS, MODULE_PASSES
from astroedge.targets.compiler.emit.make_manifest import make_manifest, pack_weights
from astroedge.targets.compiler.passes import FACTS, PASSES, SHARED
from astroedge.targets.compiler.program.merge_elementwise import merge_elementwise
from astroedge.targets.compiler.program.plan_memory import plan_memory
from astroedge.targets.compiler.program.schedule_calls import copy_kernel, schedule_calls
from astroedge.targets.compiler.program.step_program import OWN
from astroedge.targets.families.gpu_costs import gpu_costs
from astroedge.targets.pass_list import Pass, fact_table, pass_table

DEVICE_FACTS = {
    **{fact: FACTS[fact] for item in SHARED for fact in item.ensures},
    **{fact: FACTS[fact] for fact in ("choice", "program.kernels", "program.merged", "packed", "manifest")},
    "costs": "what is waited for on the chips of the target, in nanoseconds, is estimated",
    "repeats": "small calls that save more waits than they cost are made by each block of threads for itself",
    "moments": "calls stand in the order of their levels: those of one level need not wait for each other",
    "plan": "every value has its place in one of the five buffers, of those needed in one level each its own",
    "points": "of every call it is known what it reads only at the element that it writes",
    "plan.scheduled": "every call has a function of loops over single elements, or is one of the library",
    "levels": "the planned calls stand in the order of the levels that their bytes allow",
    "plan.own": "what blocks make for themselves has its place in their own memory",
    "forms": "of every call it is known how all threads make it",
    "text": "the CUDA C of the kernel that is the step",
    "device": "the kernel built for every chip of the target, through all gates",
}
"""What each fact says of a `Compilation` for a GPU."""


APART_BYTES = 2**20
"""So small a workspace stays in a GPU's second cache though none of its values share bytes."""


def _choose_kernels(state: Compilation) -> None:
    request = state.request
    state.costs = gpu_costs(request.target.gpu, request.target.multiprocessors)
    rates = {spike.name: spike.firing_rate for spike in request.graph.spec.spikes}
    state.program, state.choice = choose_device_kernels(
        state.program, state.products, rates, state.costs, request.kernels, request.weights
    )


def _merge_elementwise(state: Compilation) -> None:
    state.program = merge_elementwise(state.program)


def _repeat_calls(state: Compilation) -> None:
    calls = state.program.calls
    forms = divide_calls(schedule_calls(calls, state.request.target))
    state.program, state.repeats = repeat_calls(state.program, forms, points_read(calls), state.costs, copy_kernel)


def _order_by_levels(state: Compilation) -> None:
    state.program, state.moments = order_by_levels(state.program)


def _plan_memory(state: Compilation) -> None:
    graph = state.request.graph
    initial = graph.initial_state()
    stored = {item.name: initial[item.name] for item in graph.spec.states if item.initial is None}
    counters = [counter.value for counter in state.choice.counters]
    state.plan = plan_memory(state.program, counters, stored, copy_kernel, state.moments, APART_BYTES)


def _points_read(state: Compilation) -> None:
    state.points = points_read(state.plan.calls)


def _schedule_calls(state: Compilation) -> None:
    state.plan = replace(state.plan, calls=schedule_calls(state.plan.calls, state.request.target))


def _sort_plan(state: Compilation) -> None:
    state.plan, state.forms, state.levels = sort_plan(state.plan, state.forms, state.points)


def _place_own(state: Compilation) -> None:
    state.plan.sizes[OWN] = place_own(state.plan.calls, state.plan.places, state.levels)


def _divide_calls(state: Compilation) -> None:
    state.forms = divide_calls(state.plan.calls)


def _kernel_text(state: Compilation) -> None:
    state.text = kernel_text(state.plan, state.forms, state.levels)


def _build_device(state: Compilation) -> None:
    reason = state.repeats.text()
    state.device = build_device(state.text, state.forms, state.levels, state.request.target, reason)


def _pack_weights(state: Compilation) -> None:
    state.packed = pack_weights(state.plan)


def _make_manifest(state: Compilation) -> None:
    manifest = make_manifest(state.request, state.spec, state.program, state.choice, state.plan, None)
    kernels = (
        replace(kernel, kind=f"{kernel.kind}{_by_whom(form)}")
        for kernel, form in zip(manifest.kernels, state.forms, strict=True)
    )
    compiler = {**manifest.compiler, "nvrtc": state.device.nvrtc}
    state.manifest = replace(manifest, kernels=tuple(kernels), compiler=compiler)


def _by_whom(form: DeviceForm) -> str:
    """Who makes a call where it is not all threads together."""
    if form.repeated:
        return " by each block"
    return " by one thread" if form.alone else ""


DEVICE_PASSES: tuple[Pass[Compilation], ...] = (
    *SHARED,
    Pass.of(
        choose_device_kernels,
        requires=("program", "products"),
        ensures=("choice", "costs", "program.kernels"),
        run=_choose_kernels,
    ),
    Pass.of(
        merge_elementwise, requires=("spec", "program.kernels"), ensures=("program.merged",), run=_merge_elementwise
    ),
    Pass.of(repeat_calls, requires=("program.merged", "costs"), ensures=("repeats",), run=_repeat_calls),
    Pass.of(order_by_levels, requires=("repeats",), ensures=("moments",), run=_order_by_levels),
    Pass.of(plan_memory, requires=("spec", "choice", "moments"), ensures=("plan",), run=_plan_memory),
    Pass.of(points_read, requires=("plan",), ensures=("points",), run=_points_read),
    Pass.of(schedule_calls, requires=("plan", "points"), ensures=("plan.scheduled",), run=_schedule_calls),
    Pass.of(divide_calls, requires=("plan.scheduled",), ensures=("forms",), run=_divide_calls),
    Pass.of(sort_plan, requires=("forms", "points"), ensures=("levels",), run=_sort_plan),
    Pass.of(place_own, requires=("plan", "levels"), ensures=("plan.own",), run=_place_own),
    Pass.of(kernel_text, requires=("levels", "forms", "plan.own"), ensures=("text",), run=_kernel_text),
    Pass.of(build_device, requires=("repeats", "levels", "forms", "text"), ensures=("device",), run=_build_device),
    Pass.of(pack_weights, requires=("plan",), ensures=("packed",), run=_pack_weights),
    Pass.of(
        make_manifest,
        requires=("spec", "program", "choice", "levels", "device"),
        ensures=("manifest",),
        run=_make_manifest,
    ),
)
"""All that is done to a step graph for a GPU, in this order."""


def passes_for(target: Target) -> tuple[Pass[Compilation], ...]:
    """The passes that compile for a target."""
    return DEVICE_PASSES if target.gpu else PASSES


def tables() -> str:
    """The passes and their facts as docs/passes.md shows them."""
    lists = (
        ("The step", pass_table(PASSES), FACTS),
        ("The step for a GPU", pass_table(DEVICE_PASSES), DEVICE_FACTS),
        ("One kernel", pass_table(KERNEL_PASSES), KERNEL_FACTS),
        ("The module", pass_table(MODULE_PASSES), MODULE_FACTS),
    )
    return "\n".join(
        line for title, passes, facts in lists for line in (f"## {title}", "", *passes, "", *fact_table(facts), "")
    )


if __name__ == "__main__":
    sys.stdout.write(tables())
