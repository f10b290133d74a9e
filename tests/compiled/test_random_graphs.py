"""Random spiking networks on a grid where every sum is exact: the compiled step is ONNX Runtime, bit for bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import NodeProto, TensorProto, helper

from astroedge.runtimes import load
from astroedge.step.graph import StepGraph
from astroedge.step.spec import SpikeSpec, StateSpec, StepSpec, TensorSpec
from astroedge.targets.boards.target import resolve_target
from astroedge.workflows.compile_graph import runs_here
from tests.support import graphs
from tests.support.builds import assert_same_run, build

TICKS = 200


@dataclass(frozen=True)
class Layer:
    """Spiking neurons: how many, whose spikes come back to them a tick later (None, or a layer), and how they reset."""

    width: int
    feedback_from: int | None
    resets_to_zero: bool
    has_bias: bool


@dataclass(frozen=True)
class Net:
    """A chain of layers; the input is spikes or numbers on the grid."""

    inputs: int
    spiking_input: bool
    layers: tuple[Layer, ...]
    outputs: int
    batch: int
    seed: int


@st.composite
def nets(draw: st.DrawFn) -> Net:
    """Up to three layers, of widths around the sizes of vectors and tiles and far from them."""
    widths = st.sampled_from((1, 3, 8, 16, 17, 33, 63, 64, 65, 100, 130, 257, 300))
    count = draw(st.integers(1, 3))
    layers = tuple(
        Layer(
            width=draw(widths),
            feedback_from=draw(st.none() | st.integers(0, count - 1)),
            resets_to_zero=draw(st.booleans()),
            has_bias=index == 0 or draw(st.booleans()),
        )
        for index in range(count)
    )
    return Net(
        inputs=draw(widths),
        spiking_input=draw(st.booleans()),
        layers=layers,
        outputs=draw(st.integers(1, 20)),
        batch=draw(st.integers(1, 3)),
        seed=draw(st.integers(0, 2**16)),
    )


def make_graph(net: Net) -> StepGraph:
    """The step graph of a net, with weights that make it fire."""
    rng = np.random.default_rng(net.seed)
    constants: graphs.Constants = {"decay": np.float32(0.875), "one": np.float32(1), "zero": np.float32(0)}
    widths = (net.inputs, *(layer.width for layer in net.layers))
    for index, layer in enumerate(net.layers):
        constants[f"{index}.W"] = graphs.grid_weights(rng, widths[index], layer.width, scale=2.0)
        constants[f"{index}.b"] = np.round(rng.normal(0.2, 0.2, layer.width) * 64).astype(np.float32) / 64
        if index == 0:  # whatever the others do, this neuron fires now and then: its bias alone takes it to 2
            constants["0.W"][:, 0], constants["0.b"][0] = 0.0, 0.25
        if layer.feedback_from is not None:
            source = net.layers[layer.feedback_from].width
            constants[f"{index}.R"] = graphs.grid_weights(rng, source, layer.width)
    constants["out.W"] = graphs.grid_weights(rng, widths[-1], net.outputs)
    nodes = [node for index in range(len(net.layers)) for node in _layer_nodes(net, index)]
    nodes.append(helper.make_node("MatMul", [_spikes(len(net.layers) - 1), "out.W"], ["y"]))
    used = {name for node in nodes for name in node.input}
    spec = StepSpec(
        inputs=(TensorSpec("x", (net.batch, net.inputs), "float32", firing_rate=0.3 if net.spiking_input else None),),
        outputs=(TensorSpec("y", (net.batch, net.outputs), "float32"),),
        states=tuple(state for index in range(len(net.layers)) for state in _layer_states(net, index)),
        spikes=tuple(
            SpikeSpec(f"{index}.spike", f"{index}.fired", (net.batch, layer.width), 0.2)
            for index, layer in enumerate(net.layers)
        ),
    )
    return graphs.build("random_net", spec, nodes, {key: value for key, value in constants.items() if key in used})


def _comes_back(net: Net, index: int) -> bool:
    """Whether a layer's spikes are a state because some layer reads those of the tick before."""
    return any(layer.feedback_from == index for layer in net.layers)


def _spikes(index: int) -> str:
    return f"{index}.spikes"


def _layer_states(net: Net, index: int) -> list[StateSpec]:
    shape = (net.batch, net.layers[index].width)
    names = [f"{index}.v", *([f"{index}.s"] if _comes_back(net, index) else [])]
    return [StateSpec(name, shape, "float32") for name in names]


def _layer_nodes(net: Net, index: int) -> list[NodeProto]:
    """`v = decay · v + x W (+ s R) (+ b)`, a threshold at 1 and a reset."""
    layer, at = net.layers[index], f"{index}."
    source = "x" if index == 0 else _spikes(index - 1)
    bias = [f"{at}b"] if layer.has_bias else []
    nodes = [
        helper.make_node("Gemm", [source, f"{at}W", *bias], [f"{at}current"]),
        helper.make_node("Mul", [f"state.{at}v", "decay"], [f"{at}left"]),
        helper.make_node("Add", [f"{at}left", f"{at}current"], [f"{at}driven"]),
    ]
    membrane = f"{at}driven"
    if layer.feedback_from is not None:
        membrane = f"{at}membrane"
        nodes += [
            helper.make_node("MatMul", [f"state.{layer.feedback_from}.s", f"{at}R"], [f"{at}feedback"]),
            helper.make_node("Add", [f"{at}driven", f"{at}feedback"], [membrane]),
        ]
    nodes += [
        helper.make_node("GreaterOrEqual", [membrane, "one"], [f"{at}fired"]),
        helper.make_node("Cast", [f"{at}fired"], [_spikes(index)], to=TensorProto.FLOAT),
    ]
    reset = ("Where", [f"{at}fired", "zero", membrane]) if layer.resets_to_zero else ("Sub", [membrane, _spikes(index)])
    nodes.append(helper.make_node(*reset, [f"next.{at}v"]))
    if _comes_back(net, index):
        nodes.append(helper.make_node("Identity", [_spikes(index)], [f"next.{at}s"]))
    return nodes


LEVELS = [level for level in ("x86-64-v2", "x86-64-v3") if runs_here(resolve_target(level))]


@settings(max_examples=20)
@given(nets(), st.sampled_from(["native", *LEVELS]), st.sampled_from(["auto", "event", "dense"]))
@example(Net(3, False, (Layer(257, 0, False, True),), outputs=1, batch=1, seed=0), "native", "auto")  # over one block
@example(Net(1, False, (Layer(130, None, True, True),), outputs=1, batch=2, seed=0), "native", "dense")  # odd tiles
@example(Net(1, False, (Layer(1, None, False, True),), outputs=1, batch=1, seed=0), "native", "auto")  # one by one
def test_random_network_is_its_graph(net: Net, target: str, kernels: str) -> None:
    """Outputs at every tick and the final state are ONNX Runtime's, whatever the widths, loops, resets and batch."""
    graph = make_graph(net)
    inputs = graphs.random_inputs(graph, TICKS, seed=net.seed)
    with load(build(graph, target, kernels=kernels)) as session:
        assert_same_run(graph, session, inputs)
        fired = session.activity()["0.spike"]
    assert 0 < fired.active < fired.elements, "a network that is silent, or always fires, proves nothing"
