"""Kernels that do one thing after the other have a form for a GPU, which all of its threads share."""

from __future__ import annotations

import numpy as np

from astroedge.runtimes import load
from tests.support.builds import build
from tests.support.device_steps import device_step, same_bits
from tests.support.node_forms import node, step_of_nodes

RNG = np.random.default_rng(8)


def test_sorts_scans_and_scatters_are_divided_and_keep_their_bits() -> None:
    """A vector is sorted by as many threads, searched by blocks; a thread sums up a column, or updates an element."""
    feeds = {
        "a": RNG.choice(np.array([-1.0, -0.0, 0.0, 2.0, np.inf], np.float32), (4, 700)),
        "x": RNG.choice(np.array([np.inf, -0.0, 0.0, 1.0, 2.0, -3.0], np.float32), (1, 400)),
        "z": RNG.normal(size=(20, 33)).astype(np.float32),
        "u": RNG.normal(size=(9, 33)).astype(np.float32),
        "i": RNG.integers(-20, 20, (9, 33)),
        "p": RNG.integers(-20, 20, (9, 1)),
    }
    calls = [
        node("Sqrt", "a"),  # a NaN where it is negative
        node("ArgMax", "y0_0", axis=1),
        node("ArgMin", "a", axis=1),
        node("TopK", "x", np.array([7]), outputs=2),
        node("CumSum", "z", np.array(0)),
        node("ScatterElements", "z", "i", "u", axis=0, reduction="add"),
        node("ScatterND", "z", "p", "u", reduction="mul"),
    ]
    graph = step_of_nodes(calls, feeds)
    step = device_step(graph)
    parts: dict[str, list[int]] = {}
    for call, form in zip(step.made.plan.calls, step.made.forms, strict=True):
        parts.setdefault(call.kind, []).append(form.parts)
    assert parts["argmax"] == parts["argmin"] == [12, 4]
    assert (parts["sort"], parts["cumulative_sum"], parts["scatter"]) == ([400], [33], [660, 660])
    inputs = {name: np.stack([array, array[::-1]]) for name, array in feeds.items()}
    with load(build(graph)) as session:
        wanted = session.run(**inputs)
    given, _, _ = step.run(inputs, grid=2, seed=3)
    assert same_bits(given, wanted) == []
