"""StepGraph → Bundle: choose a target, compile the step, link it into a library that needs no other.

Imports nouns and its rooms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from astroedge.bundle.container import Bundle, describe_weights
from astroedge.bundle.manifest import BundleFiles, Golden
from astroedge.host_package import require
from astroedge.targets.boards.target import Target

if TYPE_CHECKING:
    from astroedge.step.graph import StepGraph
    from astroedge.targets.compiler.pipeline import CompiledStep
    from astroedge.targets.precision.quantise_weights import QuantisedGraph, StoredWeights


def quantise(
    graph: StepGraph, precision: str | Mapping[str, str], say: Callable[[str], None] = lambda stage: None
) -> QuantisedGraph:
    """The weights of `graph` in fewer bits, and the graph with the weights that these bits stand for.

    `precision` is one of `storage.STORAGES`, with overrides as `rules.read_precision` takes them. `say` is told of
    stages that take a while.

    Raises CompileError for an unknown precision or an override that matches no weight, GraphError where ONNX Runtime
    cannot step the examples that the graph carries.
    """
    from astroedge.targets.precision.quantise_weights import quantise_weights
    from astroedge.targets.precision.rules import read_precision

    return quantise_weights(graph, read_precision(precision), say)


def compile_step(
    graph: StepGraph,
    target: Target,
    *,
    math: str,
    kernels: str,
    probes: bool,
    weights: StoredWeights | None = None,
    beside: CompiledStep | None = None,
) -> CompiledStep:
    """Compile the step of `graph` for `target` into an object, its weights and a manifest.

    `math` is "exact" or "fast", `kernels` "auto", "event" or "dense"; with `probes` every spike tensor and its margin
    is an output. `weights` is what `quantise` found besides `graph`; None stores every weight in float32. `beside` is
    another build of the step, for the same target with the same `math`: their common kernels are compiled once.

    Raises CompileError, UnsupportedOpError or TargetError.
    """
    require("tvm", "compiling a step")
    from astroedge.targets.compiler import pipeline

    return pipeline.compile_step(
        graph, target, math=math, kernels=kernels, probes=probes, weights=weights, beside=beside
    )


def link_bundle(step: CompiledStep, target: Target, golden: Golden | None = None) -> Bundle:
    """Link a compiled step into a bundle in memory, with its golden trace once there is one.

    Raises LinkError when no linker is found or it fails.
    """
    from astroedge.targets.link.linker import find_linker, link_device_library, link_library

    manifest = replace(
        step.manifest,
        device=None if step.device is None else step.device.record,
        compiler={**step.manifest.compiler, "linker": find_linker(target).version},
        weights=describe_weights(step.weights),
        golden=golden or step.manifest.golden,
    )
    if step.device is not None:
        library = link_device_library(step.device, manifest, target)
    else:
        library = link_library(step.code, manifest, target, step.team_code, step.kernel_code)
    return Bundle(manifest, BundleFiles(library, step.weights))
