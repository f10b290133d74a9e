"""StepGraph → Bundle: choose a target, compile the step, link it into a library that needs nothing but libc."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from astroedge.bundle import Bundle, describe_weights
from astroedge.host_package import require
from astroedge.manifest import BundleFiles, Golden
from astroedge.targets.target import Target

if TYPE_CHECKING:
    from astroedge.step_graph import StepGraph
    from astroedge.targets.compiler.pipeline import CompiledStep


def compile_step(graph: StepGraph, target: Target, *, math: str, kernels: str, probes: bool) -> CompiledStep:
    """Compile the step of `graph` for `target` into an object, its weights and a manifest.

    `math` is "exact" or "fast", `kernels` "auto", "event" or "dense"; with `probes` every spike tensor and its margin
    is an output.

    Raises CompileError, UnsupportedOpError or TargetError.
    """
    require("tvm", "compiling a step")
    from astroedge.targets.compiler import pipeline

    return pipeline.compile_step(graph, target, math=math, kernels=kernels, probes=probes)


def link_bundle(step: CompiledStep, target: Target, golden: Golden | None = None) -> Bundle:
    """Link a compiled step into a bundle in memory, with its golden trace once there is one.

    Raises LinkError when no linker is found or it fails.
    """
    from astroedge.targets.link import find_linker, link_library

    manifest = replace(
        step.manifest,
        compiler={**step.manifest.compiler, "linker": find_linker(target).version},
        weights=describe_weights(step.weights),
        golden=golden or step.manifest.golden,
    )
    return Bundle(manifest, BundleFiles(link_library(step.code, manifest, target), step.weights))
