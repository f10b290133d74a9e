"""The step graph in ONNX Runtime: a session like the compiled one, and an observed form that obeys dictated spikes."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from astroedge.errors import GraphError, InputError
from astroedge.runtimes.checking.instrument import observe
from astroedge.runtimes.checking.reference import ObservedReference, ReferenceSession, runtime_session, sequence_length
from astroedge.step.spec import SpikeSpec, StateSpec, StepSpec, TensorSpec
from tests.support.graphs import ALL, build, lif_layer, random_inputs, recurrent_net, token_net
from tests.support.numpy_lif import NumpyLif


def test_the_reference_computes_the_graph() -> None:
    """On exact weights 100 ticks of ONNX Runtime equal a NumPy transcription of the network bit for bit."""
    graph = recurrent_net()
    reference, numpy_lif = ReferenceSession(graph), NumpyLif(graph)
    data = random_inputs(graph, 100)["x"]
    for x in data:
        assert np.array_equal(reference.step(x=x)["y"], numpy_lif.step(x)["y"])
    assert all(np.array_equal(reference.states[name], value) for name, value in numpy_lif.states.items())


def test_run_is_steps_in_a_row() -> None:
    """`run` over T ticks gives the outputs and the final state of T calls of `step`."""
    graph = recurrent_net()
    one, many = ReferenceSession(graph), ReferenceSession(graph)
    data = random_inputs(graph, 30)
    steps = np.stack([one.step(x=x)["y"] for x in data["x"]])
    assert np.array_equal(many.run(**data)["y"], steps)
    assert all(np.array_equal(many.states[name], one.states[name]) for name in one.states)


def test_reset_starts_the_stream_again() -> None:
    """After a reset the same inputs give the same outputs, although the state had moved on."""
    graph = recurrent_net()
    session, data = ReferenceSession(graph), random_inputs(graph, 20)
    first = session.run(**data)["y"]
    assert not np.array_equal(session.run(**data)["y"], first)
    session.reset()
    assert np.array_equal(session.run(**data)["y"], first)


def test_where_an_input_lies_in_memory_does_not_matter() -> None:
    """ONNX Runtime sums an array at an odd address in another order; the reference gives the same bits for both."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, 203), "float32"),),
        outputs=(TensorSpec("y", (1, 1), "float32"),),
        states=(StateSpec("total", (1, 1), "float32"),),
    )
    nodes = [
        helper.make_node("ReduceSum", ["x", "axis"], ["y"]),
        helper.make_node("Add", ["state.total", "y"], ["next.total"]),
    ]
    graph = build("sum", spec, nodes, {"axis": np.array([1])})
    here, there = ReferenceSession(graph), ReferenceSession(graph)
    for x in np.random.default_rng(0).normal(size=(50, 1, 203)).astype(np.float32):
        elsewhere = np.zeros(204, np.float32)[1:].reshape(1, 203)
        elsewhere[...] = x
        assert here.step(x=x.copy())["y"] == there.step(x=elsewhere)["y"]


def test_states_can_be_taken_over() -> None:
    """A stream continued from another session's states gives that session's outputs."""
    graph = recurrent_net()
    one, other = ReferenceSession(graph), ReferenceSession(graph)
    data = random_inputs(graph, 20)["x"]
    one.run(x=data[:10])
    for name, state in other.states.items():
        state[...] = one.states[name]
    assert np.array_equal(other.run(x=data[10:])["y"], one.run(x=data[10:])["y"])


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"y": np.zeros((1, 24), np.float32)}, "takes the inputs x"),
        ({}, "given none"),
        ({"x": np.zeros((1, 23), np.float32)}, r"\[1, 23\]"),
        ({"x": np.zeros((1, 24))}, "float64"),
    ],
)
def test_wrong_inputs_are_refused_and_change_nothing(inputs: dict[str, np.ndarray], words: str) -> None:
    """A wrong name, shape or dtype is one clear error and the state stays."""
    graph = lif_layer()
    session = ReferenceSession(graph)
    session.run(**random_inputs(graph, 5))
    before = {name: value.copy() for name, value in session.states.items()}
    with pytest.raises(InputError, match=words):
        session.step(**inputs)
    assert all(np.array_equal(session.states[name], value) for name, value in before.items())


def test_a_python_number_is_an_input_of_one_element() -> None:
    """A token may be given as an int."""
    graph = token_net()
    one, other = ReferenceSession(graph), ReferenceSession(graph)
    assert np.array_equal(one.step(token=3)["logits"], other.step(token=np.array([3]))["logits"])


def test_inputs_must_have_one_length() -> None:
    """Sequences of different lengths, of none and of zero ticks are refused."""
    for lengths in ((3, 4), (0, 0), ()):
        with pytest.raises(InputError, match="leading axis"):
            sequence_length({str(index): np.zeros((length, 2)) for index, length in enumerate(lengths)})


def test_a_model_onnx_runtime_refuses_is_one_line() -> None:
    """What ONNX Runtime says about a broken model is passed on in one line."""
    model = lif_layer().model
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(GraphError, match="ONNX Runtime refuses") as caught:
        runtime_session(model)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_observing_changes_nothing(make: type) -> None:
    """Running free, the observed graph gives the very bits of the plain one, and the graph stays as it was."""
    graph = make()
    digest = graph.digest
    plain, observed = ReferenceSession(graph), ObservedReference(graph)
    data, states = random_inputs(graph, 50), graph.initial_state()
    for tick in range(50):
        now = {name: array[tick] for name, array in data.items()}
        outputs, seen = plain.step(**now), observed.tick(now, states)
        states = seen.states
        assert all(np.array_equal(seen.outputs[name], value) for name, value in outputs.items())
        assert all(np.array_equal(states[name], value) for name, value in plain.states.items())
    assert graph.digest == digest


def test_margins_are_membrane_minus_threshold() -> None:
    """A neuron fired exactly where its margin is not negative, and some did and some did not."""
    graph = lif_layer()
    observed, states, fired = ObservedReference(graph), graph.initial_state(), 0
    for x in random_inputs(graph, 40)["x"]:
        seen = observed.tick({"x": x}, states)
        states = seen.states
        assert np.array_equal(seen.fired["lif.spike"], seen.margins["lif.spike"] >= 0)
        fired += int(seen.fired["lif.spike"].sum())
    assert 0 < fired < 40 * 40


def test_dictated_spikes_reach_everything_below_and_nothing_above() -> None:
    """Turning one neuron of the first layer changes its reset and the second layer's membranes, not its own verdict."""
    graph = recurrent_net()
    observed, states = ObservedReference(graph), graph.initial_state()
    for x in random_inputs(graph, 10)["x"]:
        seen = observed.tick({"x": x}, states)
        before, states = states, seen.states
    spikes = {name: fired.copy() for name, fired in seen.fired.items()}
    spikes["layers.0.spike"][0, 7] ^= True
    forced = observed.tick({"x": x}, before, spikes)
    assert np.array_equal(forced.fired["layers.0.spike"], seen.fired["layers.0.spike"])
    changed = forced.states["layers.0.s"] != seen.states["layers.0.s"]
    assert np.flatnonzero(changed).tolist() == [7]
    assert abs(forced.states["layers.0.v"] - seen.states["layers.0.v"])[0, 7] == 1
    assert not np.array_equal(forced.margins["layers.1.spike"], seen.margins["layers.1.spike"])


def test_comparisons_of_one_spike_tensor_may_share_a_threshold() -> None:
    """Spikes that are an exclusive or of two comparisons with one number have a margin and a scale."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, 3), "float32"),),
        outputs=(TensorSpec("y", (1, 3), "float32"),),
        states=(StateSpec("last", (1, 3), "float32"),),
        spikes=(SpikeSpec("spike", "fired", (1, 3), 0.5),),
    )
    nodes = [
        helper.make_node("Greater", ["x", "half"], ["now"]),
        helper.make_node("Greater", ["state.last", "half"], ["before"]),
        helper.make_node("Xor", ["now", "before"], ["fired"]),
        helper.make_node("Cast", ["fired"], ["y"], to=1),
        helper.make_node("Identity", ["x"], ["next.last"]),
    ]
    graph = build("either", spec, nodes, {"half": np.float32(0.5)})
    x = np.array([[0.0, 0.75, 1.0]], np.float32)
    seen = ObservedReference(graph).tick({"x": x}, {"last": np.zeros((1, 3), np.float32)})
    assert seen.fired["spike"].tolist() == [[False, True, True]]


def test_a_spike_tensor_may_be_the_cast_of_its_comparison() -> None:
    """Naming the float spikes gives the same margins and obeys dictation in everything that reads the comparison."""
    graph = recurrent_net()
    spikes = tuple(
        type(spike)(spike.name, f"next.layers.{layer}.s", spike.shape, 0.2)
        for layer, spike in enumerate(graph.spec.spikes)
    )
    cast = type(graph)(graph.model, type(graph.spec)(graph.spec.inputs, graph.spec.outputs, graph.spec.states, spikes))
    observed = observe(cast)
    assert set(observed.dictated) == set(observed.margins) == {"layers.0.spike", "layers.1.spike"}
    silence = {spike.name: np.zeros(spike.shape, np.bool_) for spike in spikes}
    seen = ObservedReference(cast).tick({"x": np.ones((1, 20), np.float32)}, cast.initial_state(), silence)
    assert seen.fired["layers.0.spike"].any()
    assert not seen.states["layers.0.s"].any()
