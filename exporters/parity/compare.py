"""Torch against ONNX Runtime, tick by tick, right after export.

Forced: the graph gets PyTorch's state at every tick, and each result must agree within 1e-5 · max(1, its largest
value). A decision (a comparison, a rounding to whole numbers, the place of a maximum) may come out differently only
within that margin of its edge; it is then taken over from PyTorch before what depends on it is compared, and counted.
Free: the graph keeps its own state, and the first tick at which it parts from PyTorch is reported, not judged: one
rounding difference can change a spiking network's whole future.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from astroedge.exporters.graph.find_spikes import Spikes
from astroedge.exporters.parity.firing_rates import Array, Tick
from astroedge.exporters.parity.observed_step import ObservedStep
from astroedge.parity import PARITY_TICKS, USUAL, Allowance, Divergence, Flip, Parity
from astroedge.step.graph import StepGraph
from astroedge.step.spec import NEXT_PREFIX, StepSpec


def compare(
    graph: StepGraph,
    spikes: Sequence[Spikes],
    reference: Iterator[tuple[Tick, Tick]],
    *,
    original: str = "PyTorch",
    reason: str | None = None,
    allowance: Allowance = USUAL,
) -> Parity:
    """Compare `graph` with `reference`, which yields for each tick the inputs and its outputs and next states.

    `original` is what the reference is called in messages, `reason` what most likely explains a difference. Results
    are named as the graph's outputs, `next.<state>` included. Flips are named after the spike tensor if they are one's.
    `allowance` says how far results may differ, and how many ticks by more.

    Raises ParityError for a difference that rounding cannot explain.
    """
    step = ObservedStep(graph, original, reason, allowance.tolerance)
    titles = {spike.tensor: spike.name for spike in spikes}
    free: Tick | None = graph.initial_state()
    state = graph.initial_state()
    worst, decisions, ticks = 0.0, 0, 0
    flips: list[Flip] = []
    unexplained: list[int] = []
    divergence = None
    for tick, (inputs, wanted) in enumerate(reference):
        result = step.forced(tick, inputs, state, wanted, accept=len(unexplained) < (allowance.flips or 0))
        unexplained += [tick] if result.unexplained else []
        worst, decisions, ticks = max(worst, result.worst), decisions + result.decisions, tick + 1
        flips += [Flip(tick, titles.get(name, name), index, margin) for name, index, margin in result.flips]
        if free is not None:
            divergence, free = _free(step, tick, inputs, free, wanted, titles)
        state = {name: wanted[f"{NEXT_PREFIX}{name}"] for name in state}
    return Parity(ticks, worst, decisions, tuple(flips), divergence, tuple(unexplained))


def _free(
    step: ObservedStep, tick: int, inputs: Tick, state: Tick, wanted: Tick, titles: dict[str, str]
) -> tuple[Divergence | None, Tick | None]:
    """One tick of the free run: where it parts from PyTorch, or its next state."""
    values = step.run(inputs, state)
    worst = step.worst(values, wanted)
    if worst.relative <= step.tolerance:
        return None, {name: values[f"{NEXT_PREFIX}{name}"] for name in state}
    margin, tensor = step.nearest_decision(values)
    decided = None if tensor is None else titles.get(tensor, tensor)
    return Divergence(tick, worst.name, worst.element, worst.difference, decided, margin), None


def parity_inputs(
    spec: StepSpec, examples: Sequence[Tick], ticks: int = PARITY_TICKS, *, vary: bool = True
) -> Iterator[Tick]:
    """Inputs for a comparison: the examples over and over.

    With `vary` a single example is varied, so that neurons see more than one pattern: its elements are shuffled, an
    index is drawn from its range. Other whole numbers stay in their columns, which may each have a range of its own.
    The same call gives the same data.
    """
    random = np.random.default_rng(0)
    for tick in range(ticks):
        example = examples[tick % len(examples)]
        if tick < len(examples) or len(examples) > 1 or not vary:
            yield example
            continue
        varied: dict[str, Array] = {}
        for item in spec.inputs:
            array = example[item.name]
            if item.index_range is not None:
                varied[item.name] = random.integers(*item.index_range, array.shape).astype(array.dtype)
            else:
                varied[item.name] = _shuffled(array, random)
        yield varied


def _shuffled(array: Array, random: np.random.Generator) -> Array:
    """The elements in another order; whole numbers that are not all 0 or 1 keep their place along the last axis."""
    counts = array.dtype.kind in "iu" and not np.isin(array, (0, 1)).all()
    rows = array.reshape(-1, array.shape[-1] if counts and array.ndim else 1)
    return np.ascontiguousarray(random.permutation(rows).reshape(array.shape))
