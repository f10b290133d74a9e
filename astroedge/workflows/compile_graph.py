"""Compile a step graph into a bundle that carries its own proof.

A bundle's golden trace is made by running the step on this machine. For a target this machine cannot run, the same
graph is compiled for this machine as well: the bits are the same on every target, and verifying the bundle on its
board proves it. Before the trace is taken, the step is compared with ONNX Runtime by the forced rule.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from astroedge.errors import ParityError
from astroedge.manifest import Golden

if TYPE_CHECKING:
    from astroedge.bundle import Bundle
    from astroedge.runtimes.compiled import CompiledSession
    from astroedge.step_graph import StepGraph
    from astroedge.targets.target import Target

PARITY_TICKS = 200

Progress = Callable[[str], None]


def compile(
    graph: StepGraph | str | os.PathLike[str],
    target: str | os.PathLike[str] | Target = "native",
    *,
    math: str = "exact",
    kernels: str = "auto",
    probes: bool = False,
    progress: Progress | None = None,
) -> Bundle:
    """Compile `graph` (a StepGraph or the path of one) for `target` and return the bundle, in memory.

    `target` is a board name ("raspberry-pi-4"), "native", the path of a board file or a `Target`. `math` is "exact"
    (the same bits on every target) or "fast" (libm, products free to contract: the manifest says so, and a bundle for
    a processor that this machine is not has no golden trace). `kernels` is "auto", or "event" or "dense" to force one
    kind of matrix product; it never changes a bit. `probes` adds every spike tensor and
    its margin (membrane minus threshold) to the outputs. `progress` is called with a line before each stage.

    Raises TargetError, CompileError, UnsupportedOpError, LinkError, and ParityError when the compiled step differs from
    ONNX Runtime by more than rounding.
    """
    from astroedge.step_graph import StepGraph
    from astroedge.targets import compile_step, link_bundle
    from astroedge.targets.target import resolve_target

    say = progress or (lambda line: None)
    goal = resolve_target(target)
    step_graph = graph if isinstance(graph, StepGraph) else StepGraph.load(graph)
    options = _Options(math, kernels)
    say(f"compiling {step_graph.name} for {goal.name}")
    step = compile_step(step_graph, goal, math=math, kernels=kernels, probes=probes)
    here = goal if runs_here(goal) else resolve_target("native")
    say("comparing with ONNX Runtime by the forced rule")
    parity = _check_parity(step_graph, here, options)
    say(f"recording the golden trace on {here.name}")
    local = step if here is goal else compile_step(step_graph, here, math=math, kernels=kernels, probes=probes)
    golden = _golden(link_bundle(local, here), parity, say)
    if math == "fast" and here is not goal:
        golden = replace(golden, ticks=())
    say(f"linking for {goal.triple}")
    return link_bundle(step, goal, golden)


@dataclass(frozen=True)
class _Options:
    """What two builds of the same graph must share to have the same bits."""

    math: str
    kernels: str


def probe_build(graph: StepGraph, target: Target, *, math: str, kernels: str = "auto") -> Bundle:
    """The same step with its spikes and margins as outputs; unlike `compile` it is not checked and has no trace."""
    from astroedge.targets import compile_step, link_bundle

    return link_bundle(compile_step(graph, target, math=math, kernels=kernels, probes=True), target)


def runs_here(target: Target) -> bool:
    """True when this machine's processor can run code for `target`."""
    from astroedge.targets.target import detect_native

    native = detect_native()
    return target.arch == native.arch and set(target.features) <= set(native.features)


def _check_parity(graph: StepGraph, target: Target, options: _Options) -> dict[str, float]:
    """Compare a probe build with ONNX Runtime on drawn inputs, state taken from the reference each tick."""
    from astroedge.runtimes import load
    from astroedge.runtimes.golden import draw_inputs
    from astroedge.runtimes.parity import compare_forced
    from astroedge.runtimes.reference import ObservedReference

    with load(probe_build(graph, target, math=options.math, kernels=options.kernels)) as session:
        manifest = session.manifest
        inputs = draw_inputs(manifest.layout.inputs, manifest.golden.seed, 0, PARITY_TICKS)
        report = compare_forced(ObservedReference(graph), session, inputs, PARITY_TICKS)
    if not report.ok:
        raise ParityError(
            f"The compiled step of {graph.name!r} does not follow ONNX Runtime: {report.text()} "
            "This is a defect of the compiler or of the graph; report it with the graph."
        )
    return {
        "ticks": report.ticks,
        "spikes_compared": report.spikes_compared,
        "spikes_flipped": report.spikes_flipped,
        "worst_error": report.worst_error,
    }


def _golden(bundle: Bundle, parity: dict[str, float], say: Progress) -> Golden:
    """Run the bundle on drawn inputs from a reset and keep the hashes, but for ticks that hold a NaN.

    Processors disagree in the sign of a NaN that arithmetic makes, so its bits prove nothing on another one.
    """
    from astroedge.runtimes import load
    from astroedge.runtimes.golden import GOLDEN_TICKS, trace

    seed = bundle.manifest.golden.seed
    ticks = []
    with load(bundle) as session:
        for item in trace(session, seed, GOLDEN_TICKS):
            if _holds_nan(session):
                say(f"tick {item.tick} of the golden trace holds a NaN and is left out; does the model overflow?")
            else:
                ticks.append(item)
    return Golden(seed, tuple(ticks), parity)


def _holds_nan(session: CompiledSession) -> bool:
    """Whether a state or an output of the last tick is NaN anywhere."""
    layout = session.manifest.layout
    for fields, buffer in ((layout.state, session.state), (layout.outputs, session.output_bytes)):
        for field in fields:
            if field.dtype.startswith("float"):
                values = buffer[field.offset : field.offset + field.nbytes].view(field.dtype)
                if np.isnan(values).any():
                    return True
    return False
