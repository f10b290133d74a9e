"""The front half of the pipeline, for tests of the passes behind it, and calls made by hand."""

from __future__ import annotations

from collections.abc import Sequence

from astroedge.step.graph import StepGraph
from astroedge.targets import quantise
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.lower.find_sparsity import find_sparsity
from astroedge.targets.compiler.lower.import_graph import import_graph
from astroedge.targets.compiler.lower.legalize import Product, legalize
from astroedge.targets.compiler.program.schedule_calls import copy_kernel
from astroedge.targets.compiler.program.step_program import KernelCall, StepProgram, Value, build_program, fuse
from astroedge.targets.compiler.select.choose_kernels import KernelChoice, choose_kernels
from astroedge.targets.precision.quantise_weights import StoredWeights

FUNCTION = copy_kernel(Value("any", (1,), "float32", "computed"))


def fused_program(graph: StepGraph, weights: StoredWeights | None = None) -> tuple[StepProgram, list[Product]]:
    """The program of a graph before kernels are chosen, and its products."""
    step = import_graph(graph, False)
    module, products = legalize(step, find_sparsity(step, graph), weights or StoredWeights())
    return build_program(fuse(module), graph.spec), products


def chosen_program(
    graph: StepGraph, kernels: str = "auto", precision: str = "float32", board: str = "x86-64-v3"
) -> tuple[StepProgram, KernelChoice]:
    """The program of a graph with its kernels for a target."""
    quantised = quantise(graph, precision)
    program, products = fused_program(quantised.graph, quantised.weights)
    rates = {spike.name: spike.firing_rate for spike in graph.spec.spikes}
    return choose_kernels(program, products, rates, resolve_target(board), kernels, quantised.weights)


def make_call(reads: Sequence[Value], writes: Sequence[Value], touched: int | None = None) -> KernelCall:
    """A call of which only the operands matter."""
    return KernelCall(FUNCTION, tuple(reads), tuple(writes), "any", (), touched=touched)
