"""Compile a step graph into a bundle that carries its own proof.

With `precision` below float32 the reference is the graph with dequantised weights, never the float32 one, so that a
compiler error cannot hide behind what quantising costs; `astroedge eval` measures that cost.

A bundle's golden trace is made by running the step on this machine. For a target this machine cannot run, the same
graph is compiled for this machine as well, once, as the build that shows its spikes: the bits are the same in every
build and on every target, and verifying the bundle on its board proves it. Before the trace is taken, the step is
compared with ONNX Runtime by the forced rule.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from astroedge.bundle.manifest import Golden
from astroedge.errors import GraphError, ParityError
from astroedge.parity import BRIEF_TICKS, FEW_TICKS, HUGE_STEP, LARGE_STEP, TOLERANCE, USUAL, Allowance
from astroedge.replace_file import replacing
from astroedge.step.assets import check_assets
from astroedge.workflows.inputs.asset_files import read_assets

if TYPE_CHECKING:
    from astroedge.bundle.container import Bundle
    from astroedge.bundle.manifest import Layout
    from astroedge.runtimes.checking.parity_report import ForcedReport
    from astroedge.runtimes.session.compiled import CompiledSession
    from astroedge.step.graph import StepGraph
    from astroedge.targets.boards.target import Target
    from astroedge.targets.compiler.pipeline import CompiledStep
    from astroedge.targets.precision.quantise_weights import QuantisedGraph

Progress = Callable[[str], None]


def compile(
    graph: StepGraph | str | os.PathLike[str],
    target: str | os.PathLike[str] | Target = "native",
    *,
    math: str = "exact",
    kernels: str = "auto",
    precision: str | Mapping[str, str] = "float32",
    probes: bool = False,
    tolerance: float = TOLERANCE,
    allow_flips: int | None = None,
    check_ticks: int | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Compile `graph` (a StepGraph or the path of one) for `target` and return the bundle, in memory.

    `target` is a board name ("raspberry-pi-4"), "native", the path of a board file or a `Target`. `math` is "exact"
    (the same bits on every target) or "fast" (products free to contract, libm for functions that have no exact form:
    the manifest says so, and a bundle for a processor that this machine is not has no golden trace). `kernels` is
    "auto", or "event" or "dense" to force one kind of matrix product; it never changes a bit. `precision` is how weight
    matrices are stored: "float32", "float16", "int8" or "int4", or a mapping with patterns for single weights, of which
    the last that matches counts, such as {"*": "int4", "head*": "int8"}. `probes` adds every spike tensor and its
    margin (membrane minus threshold) to the outputs. `progress` is called with a line before each stage.

    The compiled step is compared with ONNX Runtime over `check_ticks` ticks, by default 200, of a large step 50 or 20,
    and over a few of extreme inputs; where the two disagree float64 decides. `tolerance` is how far values may differ,
    as a share of max(1, largest operand), and `allow_flips` how many spikes may be decided otherwise within it, None
    for five per million. The manifest records both.

    Raises TargetError, CompileError, UnsupportedOpError, LinkError, InputError for a tolerance or a number of ticks
    that is none, ParityError when the compiled step differs from its graph by more than rounding, and OSError
    where no temporary file can be written.
    """
    options = _Options(math, kernels, probes, Allowance.of(allow_flips, tolerance, check_ticks), check_ticks is None)
    say = progress or (lambda line: None)
    return _compile(_quantise(graph, precision, say), target, options, say)


def compile_to(
    output: str | os.PathLike[str],
    graph: StepGraph | str | os.PathLike[str],
    target: str | os.PathLike[str] | Target = "native",
    *,
    math: str = "exact",
    kernels: str = "auto",
    precision: str | Mapping[str, str] = "float32",
    probes: bool = False,
    tolerance: float = TOLERANCE,
    allow_flips: int | None = None,
    check_ticks: int | None = None,
    progress: Progress | None = None,
    one_file: bool = False,
    labels: str | os.PathLike[str] | None = None,
) -> tuple[Bundle, Path | None]:
    """Compile as `compile` does and save the bundle at `output`; returns it as it is in memory.

    Where weights are quantised, the graph with dequantised weights is saved beside the bundle, and its path is returned
    too. What is there already is replaced once both are written, so a full disk leaves the old pair.

    `labels` is a text of class names, a line each, that goes into the bundle as the asset `labels.txt`, in the place of
    the graph's own.

    Raises what `compile` raises, InputError for labels that do not fit; BundleError or GraphError when a file cannot be
    written, OSError for one that cannot be read.
    """
    assets = read_assets(labels)
    say = progress or (lambda line: None)
    quantised = _quantise(graph, precision, say)
    check_assets(assets, quantised.graph.spec)
    options = _Options(math, kernels, probes, Allowance.of(allow_flips, tolerance, check_ticks), check_ticks is None)
    bundle = _compile(quantised, target, options, say)
    if assets:
        bundle = bundle.with_assets(assets)
    if bundle.manifest.dequantised_sha256 is None:
        bundle.save(output, one_file=one_file)
        return bundle, None
    return bundle, save_pair(bundle, quantised.graph, output, one_file)


def save_pair(bundle: Bundle, reference: StepGraph, output: str | os.PathLike[str], one_file: bool = False) -> Path:
    """Save a bundle at `output` and the graph with its dequantised weights beside it; the graph's path.

    Both are written before either is replaced. A kill between the two moves leaves the new bundle beside the graph of
    the old one, which `verify` tells by its digest; each is whole.

    Raises BundleError or GraphError when a file cannot be written; nothing is changed then, but by the last move.
    """
    path, is_saved = dequantised_path(output), False
    try:
        with replacing(path) as partial:
            reference.save(partial)
            bundle.save(output, one_file=one_file)
            is_saved = True
    except OSError as error:
        cure = f"{os.fspath(output)} is the new bundle: compile again" if is_saved else "nothing was changed"
        raise GraphError(f"Cannot write {os.fspath(path)!r}: {error.strerror}; {cure}.") from error
    return path


def dequantised_path(output: str | os.PathLike[str]) -> Path:
    """Where the graph with dequantised weights lies: `net.dequantised.onnx` beside `net.astro`."""
    folder = Path(output)
    return folder.with_name(f"{folder.name.removesuffix('.astro')}.dequantised.onnx")


@dataclass(frozen=True)
class _Options:
    """How a graph is compiled, but for its weights and the target, and how the result is judged."""

    math: str
    kernels: str
    probes: bool
    allowance: Allowance = USUAL
    may_be_brief: bool = True  # nobody said over how many ticks to compare


def _quantise(
    graph: StepGraph | str | os.PathLike[str], precision: str | Mapping[str, str], say: Progress
) -> QuantisedGraph:
    from astroedge.step.graph import StepGraph
    from astroedge.targets import quantise

    source = graph if isinstance(graph, StepGraph) else StepGraph.load(graph)
    if source.sources:  # a large graph, whose weights take a while
        say(f"storing weights as {precision if isinstance(precision, str) else 'asked for each'}")
    return quantise(source, precision, say)


def _compile(
    quantised: QuantisedGraph, target: str | os.PathLike[str] | Target, options: _Options, say: Progress
) -> Bundle:
    """The checked bundle, with its golden trace."""
    from astroedge.targets import link_bundle
    from astroedge.targets.boards.target import resolve_target

    goal = resolve_target(target)
    say(f"compiling {quantised.graph.name} for {goal.name}")
    step = _compile_step(quantised, goal, options)
    here = goal if runs_here(goal) else resolve_target("native")
    bundle = link_bundle(step, goal) if here is goal else _probe_build(quantised, here, options)
    say("comparing with ONNX Runtime by the forced rule")
    shows = bundle.manifest.probes or not quantised.graph.spec.spikes
    seen = bundle if shows else _probe_build(quantised, here, options, step)
    parity = _check_parity(quantised.graph, seen, options, say)
    say(f"recording the golden trace on {here.name}")
    golden = _golden(bundle, step.manifest.layout, parity, say)
    if options.math == "fast" and here is not goal:
        golden = replace(golden, ticks=())
    say(f"linking for {goal.triple}")
    linked, assets = link_bundle(step, goal, golden), quantised.graph.assets
    return linked.with_assets(assets) if assets else linked


def _compile_step(
    quantised: QuantisedGraph, target: Target, options: _Options, beside: CompiledStep | None = None
) -> CompiledStep:
    from astroedge.targets import compile_step

    return compile_step(
        quantised.graph,
        target,
        math=options.math,
        kernels=options.kernels,
        probes=options.probes,
        weights=quantised.weights,
        beside=beside,
    )


def probe_build(quantised: QuantisedGraph, target: Target, *, math: str, kernels: str = "auto") -> Bundle:
    """The same step with its spikes and margins as outputs; unlike `compile` it is not checked and has no trace."""
    return _probe_build(quantised, target, _Options(math, kernels, True))


def _probe_build(
    quantised: QuantisedGraph, target: Target, options: _Options, beside: CompiledStep | None = None
) -> Bundle:
    """The build that shows its spikes; `beside` is a build of the step for the same target."""
    from astroedge.targets import link_bundle

    return link_bundle(_compile_step(quantised, target, replace(options, probes=True), beside), target)


def runs_here(target: Target) -> bool:
    """True when this machine's processor can run code for `target`; what a GPU computes it cannot."""
    from astroedge.targets.boards.target import detect_native

    native = detect_native()
    return not target.gpu and target.arch == native.arch and set(target.features) <= set(native.features)


def _check_parity(graph: StepGraph, bundle: Bundle, options: _Options, say: Progress) -> dict[str, float]:
    """Compare a build that shows its spikes with ONNX Runtime on drawn inputs, from the reference's state each tick."""
    from astroedge.runtimes import load
    from astroedge.runtimes.checking.golden import draw_inputs
    from astroedge.runtimes.checking.parity import compare_forced
    from astroedge.runtimes.checking.reference import ObservedReference
    from astroedge.runtimes.checking.special_inputs import special_inputs

    allowance = options.allowance
    if options.may_be_brief and bundle.manifest.products > LARGE_STEP:
        allowance = replace(allowance, ticks=FEW_TICKS if bundle.manifest.products > HUGE_STEP else BRIEF_TICKS)
    with load(bundle) as session:
        fields, seed = session.manifest.layout.inputs, session.manifest.golden.seed
        report = compare_forced(
            ObservedReference(graph),
            session,
            draw_inputs(fields, seed, 0, allowance.ticks),
            allowance.ticks,
            allowance=allowance,
            special=special_inputs(fields, graph, session.manifest.kernels),
        )
    if not report.ok:
        raise ParityError(_refusal(graph.name, report))
    if report.worst_fault is not None:
        say(f"on {report.reference_faults} ticks ONNX Runtime is off and the step agrees with float64")
    return report.record()


def _refusal(name: str, report: ForcedReport) -> str:
    """Why the step is not given out, and what to do."""
    cure = (
        "This is a defect of the compiler or of the graph; report it with the graph. Where such a difference does not "
        "matter to you, a larger tolerance accepts it."
    )
    if not report.violations:
        cure = (
            "Every one of those spikes is within rounding of its threshold, which either side may decide: usually "
            f"weights on a coarse grid; allow_flips={report.spikes_flipped} accepts them."
        )
    return f"The compiled step of {name!r} does not follow its graph: {report.text()} {cure}"


def _golden(bundle: Bundle, layout: Layout, parity: dict[str, float], say: Progress) -> Golden:
    """Run the bundle on drawn inputs from a reset and keep the hashes, but for ticks that hold a NaN.

    The hashes are of buffers in `layout`, which lacks the outputs that a probe build adds.

    The trace of a large step ends earlier, and of a huge one earlier still: boards replay it, too.

    Processors disagree in the sign of a NaN that arithmetic makes, so its bits prove nothing on another one.
    """
    from astroedge.runtimes import load
    from astroedge.runtimes.checking.golden import GOLDEN_TICKS, trace

    seed = bundle.manifest.golden.seed
    ticks = []
    with load(bundle) as session:
        left_out = sum(bundle.manifest.products > size for size in (LARGE_STEP, HUGE_STEP))
        stops = GOLDEN_TICKS[: len(GOLDEN_TICKS) - left_out]
        for item in trace(session, seed, stops, layout):
            if _holds_nan(session, layout):
                say(f"tick {item.tick} of the golden trace holds a NaN and is left out; does the model overflow?")
            else:
                ticks.append(item)
    return Golden(seed, tuple(ticks), parity)


def _holds_nan(session: CompiledSession, layout: Layout) -> bool:
    """Whether a state or an output of `layout` is NaN anywhere after the last tick."""
    from astroedge.runtimes.checking.golden import hashed_outputs

    for fields, buffer in ((layout.state, session.state), (layout.outputs, hashed_outputs(session, layout))):
        for item in fields:
            if item.dtype.startswith("float"):
                values = buffer[item.offset : item.offset + item.nbytes].view(item.dtype)
                if np.isnan(values).any():
                    return True
    return False
