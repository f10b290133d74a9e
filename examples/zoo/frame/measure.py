"""What the kept network is like as a bundle: results and bytes at every precision, and what a tick costs."""

from __future__ import annotations

from typing import Any

import astroedge
from astroedge.step.graph import StepGraph
from frame.fit import example_ticks
from frame.recipe import Recipe, Series
from frame.score import score

PRECISIONS = ("float32", "int8", "int4")
MEASURED = 20_000  # ticks timed


def at_every_precision(graph: StepGraph, recipe: Recipe, held_out: Series) -> dict[str, dict[str, float]]:
    """By precision: the compiled step's `result` on the held-out sequences and the `bytes` of its weights."""
    found = {}
    for precision in PRECISIONS:
        bundle = astroedge.compile(graph, precision=precision)
        found[precision] = {
            "result": score(bundle, held_out, recipe.task),
            "bytes": bundle.manifest.weights.size,
        }
    return found


def cost_of_a_tick(graph: StepGraph, model: Any, held_out: Series) -> dict[str, Any]:
    """Weights, bytes of state, microseconds, firing rates and synaptic operations of a tick of real inputs."""
    ticks = example_ticks(held_out).numpy()[:, None]
    profile = astroedge.profile(astroedge.compile(graph), steps=MEASURED, inputs={graph.spec.inputs[0].name: ticks})
    operations = profile.operations
    return {
        "weights": sum(tensor.numel() for tensor in model.state_dict().values()),
        "state_bytes": sum(item.nbytes for item in graph.spec.states),
        "microseconds": (profile.native or profile.step).p50 / 1000,
        "firing_rates": {spike.name: spike.rate for spike in profile.spikes},
        "synops": operations.effective_acs + operations.effective_macs,
        "macs": operations.dense,
    }
