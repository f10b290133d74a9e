"""The search for decisions made otherwise: found among hundreds that lie on their edge too, and never made up."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from astroedge.errors import ParityError
from astroedge.exporters.parity.compare import compare
from astroedge.parity import USUAL, Allowance
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from tests.support import graphs

NEURONS, BELOW = 300, 16


def two_layers(*, reset: bool, seed: int = 0) -> StepGraph:
    """Neurons that count to 2, whose membranes show whether they fired if they `reset`, and a layer below."""
    rng = np.random.default_rng(seed)
    nodes = [
        helper.make_node("Add", ["state.a", "x"], ["charged"], name="/a"),
        helper.make_node("GreaterOrEqual", ["charged", "two"], ["fired"], name="/fired"),
        helper.make_node("Cast", ["fired"], ["z"], name="/z", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["z", "two"], ["spent"], name="/spent"),
        helper.make_node("Sub", ["charged", "spent"], ["left"], name="/left"),
        helper.make_node("Identity", ["left" if reset else "charged"], ["next.a"], name="/next"),
        helper.make_node("MatMul", ["z", "W"], ["current"], name="/w"),
        helper.make_node("Add", ["state.b", "current"], ["sum"], name="/sum"),
        helper.make_node("GreaterOrEqual", ["sum", "threshold"], ["below"], name="/below"),
        helper.make_node("Cast", ["below"], ["y"], name="/y", to=TensorProto.FLOAT),
        helper.make_node("Sub", ["sum", "y"], ["next.b"], name="/b"),
    ]
    if not reset:
        nodes = [node for node in nodes if node.name not in ("/spent", "/left")]
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, NEURONS), "float32"),),
        outputs=(TensorSpec("y", (1, BELOW), "float32"),),
        states=(StateSpec("a", (1, NEURONS), "float32"), StateSpec("b", (1, BELOW), "float32")),
    )
    weights = graphs.grid_weights(rng, NEURONS, BELOW, scale=8.0)
    return graphs.build("two", spec, nodes, {"two": np.float32(2), "threshold": np.float32(1), "W": weights})


def tick_with(graph: StepGraph, silenced: list[int], second: dict[int, float]) -> tuple[graphs.Ticks, graphs.Ticks]:
    """Inputs that put every counter exactly on 2, and a tick in which some did not fire and some sums are others."""
    inputs = {"x": np.full((1, NEURONS), 2, np.float32)}
    other = inputs["x"].copy()
    other[0, silenced] = np.nextafter(np.float32(2), np.float32(0))
    state = graph.initial_state()
    for place, value in second.items():
        state["b"][0, place] = value
    return inputs, graphs.run_tick(graphs.open_in_runtime(graph), {"x": other}, state)


@pytest.mark.parametrize(
    ("silenced", "reset"),
    [([123], True), ([7, 8, 290], True), ([123], False)],
    ids=["one", "three", "one without a reset"],
)
def test_flips_are_found_among_hundreds_of_ties(silenced: list[int], *, reset: bool) -> None:
    """Of 300 neurons exactly on their threshold those that PyTorch left silent are found, and no other."""
    graph = two_layers(reset=reset)
    parity = compare(graph, (), iter([tick_with(graph, silenced, {})]))
    assert [flip.neuron[1] for flip in parity.flips if flip.spikes == "fired"] == silenced
    assert parity.worst <= 1e-5


def test_flip_below_a_layer_of_ties_is_found() -> None:
    """A neuron of the second layer that misses its threshold is found although the whole first layer ties."""
    graph = two_layers(reset=True)
    start = graphs.run_tick(graphs.open_in_runtime(graph), tick_with(graph, [], {})[0], graph.initial_state())
    sums = start["next.b"] + start["y"]
    bias = next(item for item in graph.model.graph.initializer if item.name == "threshold")
    bias.raw_data = np.float32(sums[0, 5]).tobytes()
    tick = tick_with(graph, [], {5: -1e-6})
    assert tick[1]["y"][0, 5] == 0
    (flip,) = compare(graph, (), iter([tick])).flips
    assert (flip.spikes, flip.neuron) == ("below", (0, 5))


def test_ties_excuse_no_wrong_value() -> None:
    """A value that no flip explains is an error, which says how many decisions could have made it."""
    graph = two_layers(reset=True)
    inputs, wanted = tick_with(graph, [123], {})
    wanted["next.a"][0, 3] += 0.25
    with pytest.raises(ParityError, match=r"300 decisions .* accept it with allow_flips"):
        compare(graph, (), iter([(inputs, wanted)]))


def test_unexplained_ticks_are_accepted_where_allowed() -> None:
    """With allow_flips a tick that ties and is not explained is named as accepted; the next one is an error."""
    graph = two_layers(reset=True)
    inputs, wanted = tick_with(graph, [], {})
    wanted["next.a"][0, 3] += 0.25
    parity = compare(graph, (), iter([(inputs, wanted)]), allowance=Allowance(flips=1))
    assert (parity.unexplained, parity.worst, parity.flips) == ((0,), 0.0, ())
    assert "1 ticks accepted unexplained" in parity.summary()
    with pytest.raises(ParityError, match=r"At tick 2"):
        compare(graph, (), iter([(inputs, wanted), (inputs, wanted)]), allowance=Allowance(flips=1))
    away = {"x": np.full((1, NEURONS), 0.5, np.float32)}
    right = graphs.run_tick(graphs.open_in_runtime(graph), away, graph.initial_state())
    right["next.a"][0, 3] += 0.25
    with pytest.raises(ParityError, match=r"keeps state outside"):
        compare(graph, (), iter([(away, right)]), allowance=Allowance(flips=1))


def test_tolerance_is_what_the_user_says() -> None:
    """A difference of a ten-thousandth is an error by default and none within a tolerance of a thousandth."""
    graph = two_layers(reset=True)
    inputs, wanted = tick_with(graph, [], {})
    wanted["next.a"][0, 3] += 1e-4
    with pytest.raises(ParityError):
        compare(graph, (), iter([(inputs, wanted)]))
    assert compare(graph, (), iter([(inputs, wanted)]), allowance=Allowance(tolerance=1e-3)).flips == ()


def test_allowance_is_the_same_after_json() -> None:
    """What is written into a graph is what was accepted."""
    allowance = Allowance(50, 1e-4, 3)
    assert Allowance.from_json(allowance.to_json()) == allowance != USUAL
