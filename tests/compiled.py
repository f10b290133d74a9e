"""Step graphs compiled for this machine, for tests of what runs them."""

from __future__ import annotations

from astroedge.bundle import Bundle
from astroedge.step_graph import StepGraph
from astroedge.targets import compile_step, link_bundle
from astroedge.targets.target import resolve_target


def compile_here(graph: StepGraph, probes: bool = False) -> Bundle:
    """A bundle of `graph` for this machine, neither compared with the graph nor given a golden trace."""
    target = resolve_target("native")
    return link_bundle(compile_step(graph, target, math="exact", kernels="auto", probes=probes), target)
