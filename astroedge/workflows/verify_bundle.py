"""Verify a bundle: its golden trace on any device, and on a host its step graph, spike for spike.

A bundle with quantised weights is compared with the graph that has its dequantised weights. That one is saved when the
bundle is compiled; from the graph that was compiled it is made again, and must be the same.

A bundle shows its outputs and states, not the spikes inside. A step with spikes is therefore compiled once more with
probes, proved to be the same computation by its states' bits, and compared with ONNX Runtime in the bundle's place.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from astroedge.bundle.container import Bundle
from astroedge.errors import TargetError, VerificationError
from astroedge.runtimes import load
from astroedge.runtimes.checking.golden import draw_inputs
from astroedge.runtimes.checking.verify import VerifyReport as VerifyReport
from astroedge.runtimes.checking.verify import accepted, choose_inputs, refuse_other_graph
from astroedge.runtimes.checking.verify import verify as verify_session
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.workflows.inputs.array_files import read_arrays
from astroedge.workflows.inputs.fit_arrays import Fit

if TYPE_CHECKING:
    from astroedge.bundle.manifest import Manifest
    from astroedge.session import Array
    from astroedge.step.graph import StepGraph
    from astroedge.targets.boards.target import Target
    from astroedge.targets.precision.quantise_weights import QuantisedGraph


def verify(
    bundle: CompiledSession | Bundle | str | os.PathLike[str],
    graph: StepGraph | str | os.PathLike[str] | None = None,
    *,
    steps: int | None = None,
    inputs: Mapping[str, Array] | None = None,
    tolerance: float | None = None,
    allow_flips: int | None = None,
) -> VerifyReport:
    """Replay a bundle's golden trace here, and with `graph` compare it with ONNX Runtime, forced and free.

    `graph` is the step graph it was compiled from, or the dequantised one, or the path of one.
    `inputs` are arrays `(T, …)` by name, drawn like the golden trace's when None; `steps` is how many ticks of them are
    compared, all of the given ones or 1000 drawn ones when None. `tolerance` and `allow_flips` are as in `compile`;
    when None, what was accepted when the bundle was compiled. The golden trace needs NumPy only; a graph needs what
    compiling needs. A session goes on afterwards as if nothing had happened.

    Raises VerificationError when anything disagrees or the graph is another one, IncompatibleError when the bundle does
    not run on this machine, InputError for inputs the step does not take and for a tolerance that is none.
    """
    report = examine(bundle, graph, steps=steps, inputs=inputs, tolerance=tolerance, allow_flips=allow_flips)
    if not report.ok:
        raise VerificationError(report.text())
    return report


def examine(
    bundle: CompiledSession | Bundle | str | os.PathLike[str],
    graph: StepGraph | str | os.PathLike[str] | None = None,
    *,
    steps: int | None = None,
    inputs: Mapping[str, Array] | None = None,
    tolerance: float | None = None,
    allow_flips: int | None = None,
) -> VerifyReport:
    """What `verify` finds, as a report whose `ok` is False where `verify` would raise for a disagreement."""
    if not isinstance(bundle, CompiledSession):
        with load(bundle) as session:
            return examine(session, graph, steps=steps, inputs=inputs, tolerance=tolerance, allow_flips=allow_flips)
    if graph is None:
        return verify_session(bundle)
    from astroedge.step.graph import StepGraph

    source = graph if isinstance(graph, StepGraph) else StepGraph.load(graph)
    quantised = _quantise_again(source, bundle.manifest)
    allowance = accepted(bundle.manifest, tolerance, allow_flips)
    if bundle.manifest.probes or not quantised.graph.spec.spikes:
        return verify_session(bundle, quantised.graph, steps=steps, inputs=inputs, allowance=allowance)
    from astroedge.workflows.compile_graph import probe_build

    built = probe_build(quantised, _target_of(bundle.manifest), math=bundle.manifest.math)
    with load(built) as probe:
        return verify_session(bundle, quantised.graph, steps=steps, inputs=inputs, probe=probe, allowance=allowance)


def examine_file(
    path: str | os.PathLike[str],
    graph: str | os.PathLike[str] | None,
    *,
    steps: int | None,
    inputs: str | os.PathLike[str] | None,
    seed: int | None,
    threads: int | None = None,
    device: int | None = None,
    tolerance: float | None = None,
    allow_flips: int | None = None,
    fit: Fit | None = None,
) -> VerifyReport:
    """What `examine` finds on inputs from a file, made to fit, or drawn from a seed of one's own."""
    with load(path, threads=threads, device=device) as session:
        data: Mapping[str, Array] | None = None
        if inputs is not None:
            data = read_arrays(inputs, session.spec.inputs, fit)
        elif seed is not None:
            steps, _ = choose_inputs(session.manifest, steps, None)
            data = draw_inputs(session.manifest.layout.inputs, seed, 0, steps)
        return examine(session, graph, steps=steps, inputs=data, tolerance=tolerance, allow_flips=allow_flips)


def _quantise_again(graph: StepGraph, manifest: Manifest) -> QuantisedGraph:
    """The graph with the weights that the bundle stores, from the one that was compiled or from itself.

    Raises VerificationError for another graph, and where quantising gives other weights than it gave then.
    """
    from astroedge.targets import quantise

    refuse_other_graph(manifest, graph)
    quantised = quantise(graph, manifest.precision)
    if quantised.graph.digest != manifest.reference_sha256:
        raise VerificationError(
            f"Quantised to {manifest.precision}, the graph has other weights than the bundle, so another release "
            "compiled it, or a processor that rounds its examples otherwise; verify the bundle with the dequantised "
            "graph (NAME.dequantised.onnx, which the command line saves beside it), or compile the graph again."
        )
    return quantised


def _target_of(manifest: Manifest) -> Target:
    """A target whose code runs here and has the bits of the bundle's.

    It is the bundle's own where that is known here. A board file of someone else's, or another machine's "native", is
    not; with exact math this machine's own target has the same bits.

    Raises VerificationError where another target might have other bits.
    """
    from astroedge.targets.boards.target import NATIVE, resolve_target

    try:
        target = resolve_target(manifest.target.name)
        if target.identity == manifest.target:
            return target
    except TargetError:
        pass
    if manifest.math != "exact":
        raise VerificationError(
            f"The bundle has fast math for {manifest.target.name} as another machine knows it, and a build for this "
            "one may have other bits; verify it with its graph where it was compiled."
        )
    return resolve_target(NATIVE)
