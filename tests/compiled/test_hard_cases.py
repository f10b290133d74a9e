"""The hard cases of a step graph through ONNX Runtime and the compiled step; on a grid of 1/64 every bit must agree."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from astroedge.runtimes import load
from astroedge.step.graph import StepGraph
from tests.support import graphs
from tests.support.builds import assert_fires, assert_same_run, build, build_of

TICKS = 300
Builder = Callable[[], StepGraph]


@pytest.mark.parametrize("builder", graphs.ALL, ids=lambda builder: builder.__name__)
def test_compiled_step_is_the_graph(builder: Builder) -> None:
    """Outputs at every tick and the state at the end are those of ONNX Runtime."""
    graph = builder()
    with load(build_of(builder)) as session:
        outputs = assert_same_run(graph, session, graphs.random_inputs(graph, TICKS, seed=1))
        assert_fires(session)
    assert all(np.unique(array).size > 1 for array in outputs.values()), "a constant output proves nothing"


@pytest.mark.parametrize("batch", [2, 3])
def test_batches_keep_their_streams_apart(batch: int) -> None:
    """A batch of streams with different data gives each stream what it gets alone."""
    graph = graphs.recurrent_net(batch=batch)
    inputs = graphs.random_inputs(graph, TICKS, seed=2)
    with load(build(graph)) as session, load(build_of(graphs.recurrent_net)) as alone:
        outputs = assert_same_run(graph, session, inputs)["y"]
        assert_fires(session)
        for stream in range(batch):
            alone.reset()
            own = alone.run(x=np.ascontiguousarray(inputs["x"][:, stream : stream + 1]))["y"]
            np.testing.assert_array_equal(own, outputs[:, stream : stream + 1])


def test_swapped_states_exchange_their_values() -> None:
    """After one tick each of the two states has the other's initial value, after two its own again."""
    with load(build_of(graphs.swap)) as session:
        x = np.zeros((1, 5), np.float32)
        session.step(x=x)
        assert (session.states["a"] == -1.0).all()
        assert (session.states["b"] == 1.0).all()
        session.step(x=x)
        assert (session.states["a"] == 1.0).all()


def test_shift_register_delays_by_its_length() -> None:
    """What goes in comes out three ticks later, and zeros before."""
    inputs = graphs.random_inputs(graphs.shift_register(), 20, seed=3)
    with load(build_of(graphs.shift_register)) as session:
        y = session.run(**inputs)["y"]
    np.testing.assert_array_equal(y[3:], inputs["x"][:-3])
    assert not y[:3].any()


def test_stored_initial_value_survives_ticks_and_reset() -> None:
    """A state that is its own next value keeps the tensor stored in the graph, also after a reset."""
    graph = graphs.identity_next()
    with load(build_of(graphs.identity_next)) as session:
        first = session.run(**graphs.random_inputs(graph, 50, seed=4))["y"]
        np.testing.assert_array_equal(session.states["gain"], graph.initial_state()["gain"])
        session.reset()
        np.testing.assert_array_equal(session.run(**graphs.random_inputs(graph, 50, seed=4))["y"], first)
