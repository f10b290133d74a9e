"""Matrices of state that change only where something fired have, in the compiled step, the bits of the whole update."""

from __future__ import annotations

import numpy as np

from astroedge.runtimes import load
from tests.support import graphs
from tests.support.builds import build_for_teams
from tests.support.kernels.harness import same_bits
from tests.support.plastic_graph import COLUMNS, ROWS, SLOTS, STREAMS, plastic_graph

RATES = (0.0, 0.02, 0.1, 0.6)  # none, few and so many that everything is walked
SPECIAL = np.float32([-0.0, np.nan, np.inf, -np.inf, 5.0, -7.0, 1e-45])


def test_they_have_the_bits_of_the_whole_update() -> None:
    """At every rate, over states that hold −0.0, infinities and NaN, one thread and two make those of ONNX Runtime."""
    graph = plastic_graph()
    rng = np.random.default_rng(3)
    state = {item.name: rng.standard_normal(item.shape).astype(item.dtype) for item in graph.spec.states}
    for name, array in state.items():
        if name != "counts":
            array.reshape(-1)[::11][: len(SPECIAL)] = SPECIAL
            array[rng.random(array.shape) < 0.1] = -0.0
    runtime, bundle = graphs.open_in_runtime(graph), build_for_teams(graph)
    with load(bundle, threads=1) as alone, load(bundle, threads=2) as team:
        for session in (alone, team):
            whole = session.state.copy()
            for field in session.manifest.layout.state:
                content = state[field.name].reshape(-1).view(np.uint8)
                whole[field.offset : field.offset + content.size] = content
            session.overwrite_state(whole)
        for rate in (*RATES, *RATES):
            inputs = {
                "pre": (rng.random((STREAMS, ROWS)) < rate).astype(np.float32),
                "post": (rng.random((STREAMS, COLUMNS)) < rate).astype(np.float32),
                "x": rng.standard_normal((STREAMS, ROWS)).astype(np.float32),
                "slot": rng.integers(0, SLOTS, (STREAMS, 1, 1)),
            }
            values = graphs.run_tick(runtime, inputs, state)
            # Where the first of two is chosen, ONNX Runtime gives +0.0 for −0.0.
            silent = np.maximum(inputs["pre"][:, :, None], inputs["post"][:, None]) == 0
            values["next.unequal"] = np.where(silent, state["unequal"], values["next.unequal"])
            state = {name: values[f"next.{name}"] for name in state}
            for session in (alone, team):
                session.step(**inputs)
                found = {name: np.array(array) for name, array in session.states.items()}
                assert [name for name in found if not same_bits(found[name], state[name])] == []
