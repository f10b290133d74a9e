"""The comparison with PyTorch: errors are found, rounding at a threshold is told from them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from astroedge.errors import ParityError
from astroedge.exporters.graph.find_spikes import find_spikes
from astroedge.exporters.parity.compare import compare, parity_inputs
from astroedge.parity import Parity
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StepSpec, TensorSpec
from tests.support import graphs

Tick = dict[str, np.ndarray]


def reference(graph: StepGraph, ticks: int) -> list[tuple[Tick, Tick]]:
    """What the graph itself computes on random inputs, as the results wanted."""
    session, state = graphs.open_in_runtime(graph), graph.initial_state()
    data = graphs.random_inputs(graph, ticks, seed=3)
    found = []
    for tick in range(ticks):
        inputs = {name: array[tick] for name, array in data.items()}
        wanted = graphs.run_tick(session, inputs, state)
        found.append((inputs, wanted))
        state = {name: wanted[f"next.{name}"] for name in state}
    return found


def compared(graph: StepGraph, ticks: Iterator[tuple[Tick, Tick]]) -> Parity:
    """The comparison."""
    return compare(graph, find_spikes(graph.model.graph, graph.spec.states), ticks)


def test_equal_runs_agree_to_the_end() -> None:
    """Against its own results a graph has no difference, no flip and no divergence."""
    graph = graphs.recurrent_net()
    parity = compared(graph, iter(reference(graph, 50)))
    assert parity == Parity(50, 0.0, 50 * (48 + 36), (), None)
    assert "free run agrees to the end" in parity.summary()


def with_bias(graph: StepGraph, name: str, values: np.ndarray) -> StepGraph:
    """The graph with other values in one initialiser."""
    tensor = next(item for item in graph.model.graph.initializer if item.name == name)
    tensor.raw_data = values.astype(np.float32).tobytes()
    return graph


def one_tick(membrane: np.ndarray) -> tuple[StepGraph, Tick, Tick]:
    """A LIF layer whose membranes are exactly `membrane` in the first silent tick; its inputs and its results."""
    graph = with_bias(graphs.lif_layer(neurons=8), "b", membrane)
    fired = (membrane >= 1).astype(np.float32)[None]
    return graph, {"x": np.zeros((1, 24), np.float32)}, {"y": fired, "next.v": membrane[None] - fired}


MEMBRANE = np.array([0.25, 0.5, 1.0, 1.5, 0.75, 1.0, 0.0, 2.0], np.float32)


def test_spike_decided_otherwise_at_the_threshold_is_taken_over() -> None:
    """Two neurons exactly at threshold that PyTorch left silent are flips, named with neuron and margin, not errors."""
    graph, inputs, wanted = one_tick(MEMBRANE)
    for neuron in (2, 5):
        wanted["y"][0, neuron], wanted["next.v"][0, neuron] = 0.0, 1.0
    parity = compared(graph, iter([(inputs, wanted)]))
    assert [(flip.tick, flip.spikes, flip.neuron, flip.margin) for flip in parity.flips] == [
        (0, "spike", (0, 2), 0.0),
        (0, "spike", (0, 5), 0.0),
    ]
    assert parity.worst == 0.0


def test_spike_decided_otherwise_away_from_the_threshold_is_an_error() -> None:
    """A neuron clearly above threshold that PyTorch left silent is a ParityError with tick, result and neuron."""
    graph, inputs, wanted = one_tick(MEMBRANE)
    wanted["y"][0, 3], wanted["next.v"][0, 3] = 0.0, 1.5
    with pytest.raises(ParityError, match=r"At tick 1 the exported step's '(y|next\.v)' .* by 1 at \[0, 3\]"):
        compared(graph, iter([(inputs, wanted)]))


def test_flip_does_not_excuse_another_error() -> None:
    """A legal flip in one neuron does not hide a wrong value in another."""
    graph, inputs, wanted = one_tick(MEMBRANE)
    wanted["y"][0, 2], wanted["next.v"][0, 2] = 0.0, 1.0
    wanted["next.v"][0, 6] += 0.01
    with pytest.raises(ParityError, match=r"At tick 1"):
        compared(graph, iter([(inputs, wanted)]))


def test_flip_is_followed_through_the_layers_below() -> None:
    """A flip in the first layer changes the second one's membranes and spikes; the comparison follows it there."""
    bias = np.zeros(48, np.float32)
    bias[0] = np.nextafter(np.float32(1), np.float32(0))  # neuron 0 of the first layer is just below its threshold
    silent = with_bias(graphs.recurrent_net(), "layers.0.b", bias)
    bias[0] = 1.0
    fires = with_bias(graphs.recurrent_net(), "layers.0.b", bias)
    second = np.full(36, 0.9375, np.float32)  # a spike from above decides about many of these
    silent, fires = (with_bias(graph, "layers.1.b", second) for graph in (silent, fires))
    inputs = {"x": np.zeros((1, 20), np.float32)}
    wanted = graphs.run_tick(graphs.open_in_runtime(silent), inputs, silent.initial_state())
    own = graphs.run_tick(graphs.open_in_runtime(fires), inputs, fires.initial_state())
    assert np.abs(own["next.layers.1.s"] - wanted["next.layers.1.s"]).sum() > 5
    parity = compared(fires, iter([(inputs, wanted)]))
    assert [(flip.spikes, flip.neuron) for flip in parity.flips] == [("layers.0.v.spike", (0, 0))]


def test_wrong_weight_is_an_error() -> None:
    """A row of weights that is off by 1/64 is found."""
    graph, other = graphs.recurrent_net(), graphs.recurrent_net()
    tensor = next(item for item in other.model.graph.initializer if item.name == "layers.1.W")
    values = np.frombuffer(tensor.raw_data, np.float32).copy()
    values[:36] += 1 / 64
    tensor.raw_data = values.tobytes()
    with pytest.raises(ParityError):
        compared(other, iter(reference(graph, 50)))


def test_free_run_that_parts_is_reported_not_judged() -> None:
    """Neurons exactly at threshold that PyTorch decides otherwise: forced they are flips, free the runs part there."""
    graph, inputs, _ = one_tick(MEMBRANE)
    state, ticks = np.zeros((1, 8), np.float32), []
    for _ in range(6):
        membrane = state * np.float32(0.875) + MEMBRANE
        fired = (membrane > 1).astype(np.float32)  # not at equality, as the graph does
        state = membrane - fired
        ticks.append((inputs, {"y": fired, "next.v": state}))
    parity = compared(graph, iter(ticks))
    assert {flip.neuron for flip in parity.flips} >= {(0, 2), (0, 5)}
    assert parity.divergence is not None
    assert (parity.divergence.tick, parity.divergence.difference) == (0, 1.0)
    assert (parity.divergence.spikes, parity.divergence.margin) == ("spike", 0.0)
    assert "parts at tick 1" in parity.summary()


def test_parity_inputs_shuffle_a_single_example() -> None:
    """One example is used once, then varied: floats are shuffled, tokens drawn, the same way every time."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, 6), "float32"), TensorSpec("token", (1,), "int64", index_range=(0, 9))),
        outputs=(),
        states=(),
    )
    example = {"x": np.arange(6, dtype=np.float32)[None], "token": np.array([4])}
    ticks = list(parity_inputs(spec, [example], 20))
    assert ticks[0]["x"] is example["x"]
    assert all(sorted(tick["x"].ravel()) == list(range(6)) for tick in ticks)
    assert len({tuple(tick["x"].ravel()) for tick in ticks}) > 10
    assert {int(tick["token"][0]) for tick in ticks} <= set(range(9))
    assert len({int(tick["token"][0]) for tick in ticks}) > 4
    again = list(parity_inputs(spec, [example], 20))
    assert all(np.array_equal(a["x"], b["x"]) for a, b in zip(ticks, again, strict=True))


def test_parity_inputs_repeat_several_examples() -> None:
    """A sequence of examples is real data: it is repeated as it is."""
    spec = StepSpec(inputs=(TensorSpec("x", (1,), "float32"),), outputs=(), states=())
    examples = [{"x": np.array([float(number)], np.float32)} for number in range(3)]
    assert [float(tick["x"][0]) for tick in parity_inputs(spec, examples, 7)] == [0, 1, 2, 0, 1, 2, 0]
