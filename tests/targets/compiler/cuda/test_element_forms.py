"""Kernels that do one thing after the other have a form for a GPU, which all of its threads share."""

from __future__ import annotations

import numpy as np

from astroedge.runtimes import load
from tests.support.builds import build
from tests.support.device_steps import device_step, same_bits
from tests.support.node_forms import node, step_of_nodes

RNG = np.random.default_rng(8)


def test_sorts_scans_and_scatters_are_divided_and_keep_their_bits() -> None:
    """One long vector is sorted by as many threads, sums down the columns are a thread each, updates one an element."""
    feeds = {
        "x": RNG.choice(np.array([np.inf, -0.0, 0.0, 1.0, 2.0, -3.0], np.float32), (1, 400)),
        "z": RNG.normal(size=(20, 33)).astype(np.float32),
        "u": RNG.normal(size=(9, 33)).astype(np.float32),
        "i": RNG.integers(-20, 20, (9, 33)),
        "p": RNG.integers(-20, 20, (9, 1)),
    }
    calls = [
        node("TopK", "x", np.array([7]), outputs=2),
        node("CumSum", "z", np.array(0)),
        node("ScatterElements", "z", "i", "u", axis=0, reduction="add"),
        node("ScatterND", "z", "p", "u", reduction="mul"),
    ]
    graph = step_of_nodes(calls, feeds)
    step = device_step(graph)
    parts = {call.kind: form.parts for call, form in zip(step.made.plan.calls, step.made.forms, strict=True)}
    assert {kind: parts[kind] for kind in ("sort", "cumulative_sum", "scatter")} == {
        "sort": 400, "cumulative_sum": 33, "scatter": 660,
    }  # fmt: skip
    inputs = {name: np.stack([array, array[::-1]]) for name, array in feeds.items()}
    with load(build(graph)) as session:
        wanted = session.run(**inputs)
    given, _, _ = step.run(inputs, grid=2, seed=3)
    assert same_bits(given, wanted) == []
