"""The whole pipeline: step graph and target in, object file, weights and manifest out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import version

import tvm
import tvm_ffi
from tvm.target import codegen

from astroedge import __version__
from astroedge.bundle.manifest import Manifest
from astroedge.errors import AstroEdgeError, CompileError, UnsupportedOpError
from astroedge.step.graph import StepGraph
from astroedge.step.operators import uncompiled
from astroedge.step.spec import StepSpec, TensorSpec
from astroedge.targets.boards.board_file import Target
from astroedge.targets.boards.target import tvm_target
from astroedge.targets.compiler.emit.build_object import build_object
from astroedge.targets.compiler.emit.build_team import build_team_object
from astroedge.targets.compiler.emit.make_manifest import make_manifest, weights_bytes
from astroedge.targets.compiler.lower.find_sparsity import find_spikes
from astroedge.targets.compiler.lower.import_graph import import_graph
from astroedge.targets.compiler.lower.legalize import legalize
from astroedge.targets.compiler.program.merge_elementwise import merge_elementwise
from astroedge.targets.compiler.program.plan_memory import plan_memory
from astroedge.targets.compiler.program.schedule_calls import copy_kernel, schedule_calls
from astroedge.targets.compiler.program.step_program import StepProgram, build_program, fuse
from astroedge.targets.compiler.select.choose_kernels import choose_kernels
from astroedge.targets.compiler.threads.group_large_calls import group_large_calls
from astroedge.targets.compiler.threads.plan_team import plan_team
from astroedge.targets.precision.quantise_weights import StoredWeights

MATH_CHOICES = ("exact", "fast")

for error_class in (CompileError, UnsupportedOpError):  # an error that crosses TVM's C++ keeps a class it knows
    tvm_ffi.register_error(error_class.__name__, error_class)


@dataclass(frozen=True)
class CompiledStep:
    """What code generation gives; a linker and a golden trace make a bundle of it.

    `team_code` is the object with the tick of a team of threads, None for a step that is too small to be divided.
    """

    code: bytes
    team_code: bytes | None
    weights: bytes
    manifest: Manifest


def compile_step(
    graph: StepGraph, target: Target, *, math: str, kernels: str, probes: bool, weights: StoredWeights | None = None
) -> CompiledStep:
    """Compile `graph` for `target`; `weights` is the stored form of its weights where that is not float32.

    Raises CompileError when a pass cannot carry the graph; UnsupportedOpError for an operator without importer or exact
    kernel; TargetError when LLVM does not know the processor.
    """
    if math not in MATH_CHOICES:
        raise CompileError(f"math={math!r} is not one of {', '.join(MATH_CHOICES)}.")
    for reason in uncompiled(graph.model.graph, fast=math == "fast"):
        cure = " or compile with math='fast'" if "exact kernel" in reason else ""
        raise UnsupportedOpError(
            f"{reason}; write it with other functions in the model{cure}. ONNX Runtime can run the graph as it is."
        )
    native = tvm_target(target)
    try:
        with native:
            return _compile(graph, target, native, math, kernels, probes, weights or StoredWeights())
    except AstroEdgeError:
        raise
    except Exception as error:
        line = (str(error).strip().splitlines() or [repr(error)])[-1]
        raise CompileError(
            f"Compiling the step graph {graph.name!r} for {target.name} failed inside TVM ({line}); it usually means "
            "an operator form the pipeline does not know. Simplify that part of the model, or report it with the graph."
        ) from error


def _compile(
    graph: StepGraph,
    target: Target,
    native: tvm.target.Target,
    math: str,
    kernels: str,
    probes: bool,
    weights: StoredWeights,
) -> CompiledStep:
    step = import_graph(graph, probes)
    module, products = legalize(step, find_spikes(step, graph.spec), weights)
    program = build_program(fuse(module), graph.spec)
    spec = _show_probes(program, graph.spec, step.margins) if probes else graph.spec
    rates = {spike.name: spike.firing_rate for spike in graph.spec.spikes}
    choice = choose_kernels(program, products, rates, target, kernels, weights)
    merge_elementwise(program)
    group_large_calls(program)
    initial = graph.initial_state()
    stored = {state.name: initial[state.name] for state in graph.spec.states if state.initial is None}
    plan = plan_memory(program, [counter.value for counter in choice.counters], stored, copy_kernel)
    plan.calls = schedule_calls(plan.calls, target)
    team = None if probes else plan_team(plan)
    code = build_object(plan, native, math)
    team_code = None if team is None else build_team_object(team, plan, native, math)
    compiler = {
        "astroedge": __version__,
        "tvm": version("apache-tvm"),
        "llvm": str(codegen.llvm_version_major()),
    }
    manifest = make_manifest(graph, spec, target, program, plan, choice, compiler, math, probes, weights)
    if team is not None:
        manifest = replace(manifest, threads=team.threads, default_threads=team.default_threads)
    return CompiledStep(code, team_code, weights_bytes(plan), manifest)


def _show_probes(program: StepProgram, spec: StepSpec, margins: tuple[str, ...]) -> StepSpec:
    """Make every spike tensor, and its margin if it has one, an output; returns `spec` with them, by neuron group.

    Two groups may share a value (a neuron that is compared twice with its threshold, say), so a value names neither.
    """
    margin_of = dict(zip(margins, program.margins, strict=True))
    shown = []
    for spike, fired in zip(spec.spikes, program.spikes, strict=True):
        program.outputs.append(fired)
        shown.append(TensorSpec(f"spike.{spike.name}", spike.shape, fired.dtype))
        if spike.name in margin_of:
            margin = margin_of[spike.name]
            program.outputs.append(margin)
            shown.append(TensorSpec(f"margin.{spike.name}", spike.shape, margin.dtype))
    return replace(spec, outputs=(*spec.outputs, *shown))
