"""Every pass from the step graph to the manifest of a step that a processor computes: what it requires and ensures."""

from __future__ import annotations

from dataclasses import replace

from astroedge.targets.compiler.compilation import Compilation
from astroedge.targets.compiler.emit.build_object import build_object
from astroedge.targets.compiler.emit.build_team import build_team_object
from astroedge.targets.compiler.emit.make_manifest import make_manifest, pack_weights
from astroedge.targets.compiler.emit.native_kernels import build_kernels
from astroedge.targets.compiler.lower.find_sparsity import find_sparsity
from astroedge.targets.compiler.lower.import_graph import import_graph
from astroedge.targets.compiler.lower.legalize import legalize
from astroedge.targets.compiler.program.merge_elementwise import merge_elementwise
from astroedge.targets.compiler.program.plan_memory import plan_memory, refuse_large
from astroedge.targets.compiler.program.read_states_first import read_states_first
from astroedge.targets.compiler.program.schedule_calls import copy_kernel, schedule_calls
from astroedge.targets.compiler.program.show_probes import show_probes
from astroedge.targets.compiler.program.step_program import build_program, fuse
from astroedge.targets.compiler.program.update_active import update_active
from astroedge.targets.compiler.select.choose_kernels import choose_kernels
from astroedge.targets.compiler.select.join_rows import join_rows
from astroedge.targets.compiler.threads.defer_updates import hold_for_updates
from astroedge.targets.compiler.threads.group_large_calls import group_large_calls
from astroedge.targets.compiler.threads.plan_team import plan_team, together_in_team
from astroedge.targets.pass_list import Pass

FACTS = {
    "imported": "the graph is a Relax module with constants folded, and the variables that are spike tensors, products "
    "and what products read are known",
    "sparse": "of what products read it is known what is mostly zero, with how often it fires",
    "module": "every operator is a call of a function of loops; a matrix product or convolution calls a placeholder",
    "module.fused": "element-wise functions are one with the neighbour they feed; what is left is calls and views",
    "products": "what each placeholder stands for",
    "program": "the step is a list of calls on named values, and every value is made before it is read, from here on",
    "spec": "the outputs are final: those of the graph, in a probe build every spike tensor and its margin too",
    "choice": "the kernel of every product, the counters of activity, and what the stored weights take",
    "program.kernels": "no placeholder is left, and every spike tensor is counted",
    "program.states_read": "whoever reads an old state comes before the call that makes the new one, where that can be",
    "program.active": "what changes states only where something fired touches nothing else of them",
    "program.merged": "element-wise calls over the same points are one, unless something waits between them",
    "program.grouped": "large calls that need not wait for each other stand together",
    "program.joined": "short rows of weights that one list reads lie side by side, in one product",
    "program.held": "what an update reads that threads may put off is there until they have to have made it",
    "plan": "every value has its place in one of the five buffers; moves and copies end the tick",
    "plan.scheduled": "every call has a scheduled function",
    "team": "which calls threads divide and where they wait; None for a probe build and for a step that is too small",
    "code": "the object file of the tick, whose kernels have names",
    "team_code": "the object file of a team's tick, None without a team; its kernels have names",
    "kernel_code": "the object files with all kernels that both call",
    "packed": "the bytes of the weights buffer",
    "manifest": "what describes the step, but for what linking and the golden trace add",
}
"""What each fact says of a `Compilation`: a field is filled, or what is in it has a property."""


def _import(state: Compilation) -> None:
    state.imported = import_graph(state.request.graph, state.request.probes)


def _find_sparsity(state: Compilation) -> None:
    state.sparse = find_sparsity(state.imported, state.request.graph)


def _legalize(state: Compilation) -> None:
    state.module, state.products = legalize(state.imported, state.sparse, state.request.weights)


def _fuse(state: Compilation) -> None:
    state.module = fuse(state.module)


def _build_program(state: Compilation) -> None:
    state.program = build_program(state.module, state.request.graph.spec)


def _show_probes(state: Compilation) -> None:
    state.spec = state.request.graph.spec
    if state.request.probes:
        state.program, state.spec = show_probes(state.program, state.spec, state.imported.margins)


def _choose_kernels(state: Compilation) -> None:
    request = state.request
    rates = {spike.name: spike.firing_rate for spike in request.graph.spec.spikes}
    state.program, state.choice = choose_kernels(
        state.program, state.products, rates, request.target, request.kernels, request.weights
    )


def _read_states_first(state: Compilation) -> None:
    state.program = read_states_first(state.program)


def _update_active(state: Compilation) -> None:
    request = state.request
    rates = [spike.firing_rate for spike in request.graph.spec.spikes]
    state.program = update_active(state.program, rates, request.target)


def _merge_elementwise(state: Compilation) -> None:
    state.program = merge_elementwise(state.program)


def _group_large_calls(state: Compilation) -> None:
    state.program = group_large_calls(state.program)


def _join_rows(state: Compilation) -> None:
    state.program = join_rows(state.program)


def _hold_for_updates(state: Compilation) -> None:
    state.program = hold_for_updates(state.program)


def _plan_memory(state: Compilation) -> None:
    graph = state.request.graph
    initial = graph.initial_state()
    stored = {item.name: initial[item.name] for item in graph.spec.states if item.initial is None}
    counters = [counter.value for counter in state.choice.counters]
    state.plan = plan_memory(state.program, counters, stored, copy_kernel, together=together_in_team)
    refuse_large(state.plan, state.request.target)


def _schedule_calls(state: Compilation) -> None:
    state.plan = replace(state.plan, calls=schedule_calls(state.plan.calls, state.request.target))


def _plan_team(state: Compilation) -> None:
    state.team = None if state.request.probes else plan_team(state.plan)


def _build_object(state: Compilation) -> None:
    probes = state.request.probes
    apart = probes or state.team is not None  # otherwise other builds have little use for them
    state.code = build_object(state.plan, state.kernels, apart, timed=not probes)


def _build_team_object(state: Compilation) -> None:
    team = state.team
    state.team_code = None if team is None else build_team_object(team, state.plan, state.kernels)


def _build_kernels(state: Compilation) -> None:
    state.kernel_code = build_kernels(state.kernels)


def _pack_weights(state: Compilation) -> None:
    state.packed = pack_weights(state.plan)


def _make_manifest(state: Compilation) -> None:
    state.manifest = make_manifest(state.request, state.spec, state.program, state.choice, state.plan, state.team)


PASSES: tuple[Pass[Compilation], ...] = (
    Pass.of(import_graph, ensures=("imported",), run=_import),
    Pass.of(find_sparsity, requires=("imported",), ensures=("sparse",), run=_find_sparsity),
    Pass.of(legalize, requires=("imported", "sparse"), ensures=("module", "products"), run=_legalize),
    Pass.of(fuse, requires=("module",), ensures=("module.fused",), run=_fuse),
    Pass.of(build_program, requires=("module.fused",), ensures=("program",), run=_build_program),
    Pass.of(show_probes, requires=("imported", "program"), ensures=("spec",), run=_show_probes),
    Pass.of(
        choose_kernels,
        requires=("program", "products"),
        ensures=("choice", "program.kernels"),
        run=_choose_kernels,
    ),
    Pass.of(read_states_first, requires=("program.kernels",), ensures=("program.states_read",), run=_read_states_first),
    Pass.of(update_active, requires=("program.states_read",), ensures=("program.active",), run=_update_active),
    Pass.of(
        merge_elementwise, requires=("spec", "program.kernels"), ensures=("program.merged",), run=_merge_elementwise
    ),
    Pass.of(group_large_calls, requires=("program.merged",), ensures=("program.grouped",), run=_group_large_calls),
    Pass.of(join_rows, requires=("program.grouped",), ensures=("program.joined",), run=_join_rows),
    Pass.of(hold_for_updates, requires=("program.joined",), ensures=("program.held",), run=_hold_for_updates),
    Pass.of(plan_memory, requires=("spec", "choice", "program.held"), ensures=("plan",), run=_plan_memory),
    Pass.of(schedule_calls, requires=("plan",), ensures=("plan.scheduled",), run=_schedule_calls),
    Pass.of(plan_team, requires=("plan.scheduled",), ensures=("team",), run=_plan_team),
    Pass.of(build_object, requires=("plan.scheduled", "team"), ensures=("code",), run=_build_object),
    Pass.of(build_team_object, requires=("plan.scheduled", "team"), ensures=("team_code",), run=_build_team_object),
    Pass.of(build_kernels, requires=("code", "team_code"), ensures=("kernel_code",), run=_build_kernels),
    Pass.of(pack_weights, requires=("plan",), ensures=("packed",), run=_pack_weights),
    Pass.of(
        make_manifest,
        requires=("spec", "program", "choice", "plan.scheduled", "team"),
        ensures=("manifest",),
        run=_make_manifest,
    ),
)
"""All that is done to a step graph, in this order."""


SHARED = PASSES[: [item.name for item in PASSES].index("choose_kernels")]
"""Those that a GPU's list begins with, too."""
