"""Small step graphs written by hand, for tests of everything that comes after export; none of them needs PyTorch.

Weights lie on a grid of 1/64 and membranes decay by 0.875, so every sum is exact in float32 whatever its order, and any
difference between two runs of the same graph is an error. Each builder returns a `StepGraph`; `random_inputs` makes
data on the same grid at which the networks fire.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy import typing as npt
from onnx import TensorProto, helper, numpy_helper

from astroedge.step.graph import StepGraph
from astroedge.step.spec import SpikeSpec, StateSpec, StepSpec, TensorSpec

DECAY = 0.875
Constants = dict[str, npt.ArrayLike]
Ticks = dict[str, npt.NDArray[Any]]


def build(name: str, spec: StepSpec, nodes: Sequence[onnx.NodeProto], constants: Constants | None = None) -> StepGraph:
    """A step graph from its description, its nodes in order and its constants."""
    inputs = [_value(item.name, item.dtype, item.shape) for item in spec.inputs]
    inputs += [_value(state.input_name, state.dtype, state.shape) for state in spec.states]
    outputs = [_value(item.name, item.dtype, item.shape) for item in spec.outputs]
    outputs += [_value(state.output_name, state.dtype, state.shape) for state in spec.states]
    stored = [numpy_helper.from_array(np.asarray(array), key) for key, array in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), name, inputs, outputs, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return StepGraph(model, spec)


def grid_weights(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> npt.NDArray[np.float32]:
    """Normal weights of about `scale / sqrt(fan in)`, rounded to multiples of 1/64; the first axis is the fan in."""
    return (np.round(rng.normal(0.0, scale / np.sqrt(shape[0]), shape) * 64) / 64).astype(np.float32)


def random_inputs(graph: StepGraph, ticks: int, seed: int = 0) -> dict[str, npt.NDArray[np.generic]]:
    """Data for each input, `(ticks, …)`: indices in range, spikes at their rate, else multiples of 1/64 in ±1."""
    rng = np.random.default_rng(seed)
    data: dict[str, npt.NDArray[np.generic]] = {}
    for item in graph.spec.inputs:
        shape = (ticks, *item.shape)
        if item.index_range is not None or item.value_range is not None:
            data[item.name] = rng.integers(*(item.index_range or item.value_range), shape).astype(item.dtype)
        elif item.firing_rate is not None:
            data[item.name] = (rng.random(shape) < item.firing_rate).astype(item.dtype)
        elif item.dtype.startswith("float"):
            data[item.name] = (rng.integers(-64, 65, shape) / 64).astype(item.dtype)
        else:
            data[item.name] = rng.integers(0, 2, shape).astype(item.dtype)
    return data


def open_in_runtime(graph: StepGraph, watch: Sequence[str] = ()) -> onnxruntime.InferenceSession:
    """ONNX Runtime on `graph`, with inner values as further outputs."""
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in watch)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # As it is written: fused, a sum and a product (MatMul, then Add) are added in another order and rounded otherwise.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run_tick(session: onnxruntime.InferenceSession, inputs: Ticks, state: Ticks) -> Ticks:
    """Every output of one tick by name."""
    names = [item.name for item in session.get_outputs()]
    feeds = {**inputs, **{f"state.{name}": value for name, value in state.items()}}
    return dict(zip(names, session.run(names, feeds), strict=True))


def step_through(
    graph: StepGraph, inputs: Mapping[str, npt.NDArray[Any]], watch: Sequence[str] = ()
) -> tuple[Ticks, Ticks]:
    """Step in ONNX Runtime from the initial state: outputs and watched values `(ticks, …)`, and the last state."""
    session = open_in_runtime(graph, watch)
    state: Ticks = graph.initial_state()
    collected: dict[str, list[npt.NDArray[Any]]] = {item.name: [] for item in graph.spec.outputs}
    collected |= {name: [] for name in watch}
    for tick in range(len(next(iter(inputs.values())))):
        values = run_tick(session, {name: data[tick] for name, data in inputs.items()}, state)
        state = {name: values[f"next.{name}"] for name in state}
        for name, arrays in collected.items():
            arrays.append(values[name])
    return {name: np.stack(arrays) for name, arrays in collected.items()}, state


def lif_layer(inputs: int = 24, neurons: int = 40, batch: int = 1, seed: int = 0) -> StepGraph:
    """One layer of leaky integrate-and-fire neurons that read spikes: Gemm, decay, threshold, reset by subtraction."""
    rng = np.random.default_rng(seed)
    spec = StepSpec(
        inputs=(TensorSpec("x", (batch, inputs), "float32", firing_rate=0.25),),
        outputs=(TensorSpec("y", (batch, neurons), "float32"),),
        states=(StateSpec("v", (batch, neurons), "float32"),),
        spikes=(SpikeSpec("lif.spike", "fired", (batch, neurons), 0.1),),
    )
    nodes = [
        helper.make_node("Gemm", ["x", "W", "b"], ["current"]),
        helper.make_node("Mul", ["state.v", "decay"], ["left"]),
        helper.make_node("Add", ["left", "current"], ["membrane"]),
        helper.make_node("GreaterOrEqual", ["membrane", "threshold"], ["fired"]),
        helper.make_node("Cast", ["fired"], ["y"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["membrane", "y"], ["next.v"]),
    ]
    constants: Constants = {
        "W": grid_weights(rng, inputs, neurons, scale=1.5),
        "b": grid_weights(rng, neurons, scale=0.5),
        "decay": np.float32(DECAY),
        "threshold": np.float32(1.0),
    }
    return build("lif_layer", spec, nodes, constants)


def swap(width: int = 5) -> StepGraph:
    """Two states that take each other's value every tick, with the input added to one of them on the way."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, width), "float32"),),
        outputs=(TensorSpec("y", (1, width), "float32"),),
        states=(
            StateSpec("a", (1, width), "float32", initial=1.0),
            StateSpec("b", (1, width), "float32", initial=-1.0),
        ),
    )
    nodes = [
        helper.make_node("Identity", ["state.b"], ["next.a"]),
        helper.make_node("Identity", ["state.a"], ["next.b"]),
        helper.make_node("Sub", ["state.a", "state.b"], ["difference"]),
        helper.make_node("Add", ["difference", "x"], ["y"]),
    ]
    return build("swap", spec, nodes)


def shift_register(width: int = 6, length: int = 3) -> StepGraph:
    """A delay line of `length` states: the input goes into the first, each next state is the one before it."""
    names = [f"delay.{index}" for index in range(length)]
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, width), "float32"),),
        outputs=(TensorSpec("y", (1, width), "float32"),),
        states=tuple(StateSpec(name, (1, width), "float32") for name in names),
    )
    sources = ["x", *(f"state.{name}" for name in names[:-1])]
    nodes = [
        helper.make_node("Identity", [source], [f"next.{name}"]) for source, name in zip(sources, names, strict=True)
    ]
    nodes.append(helper.make_node("Identity", [f"state.{names[-1]}"], ["y"]))
    return build("shift_register", spec, nodes)


def identity_next(width: int = 4) -> StepGraph:
    """A state that never changes, whose initial value is a stored tensor, scales the input of one that accumulates."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, width), "float32"),),
        outputs=(TensorSpec("y", (1, width), "float32"),),
        states=(StateSpec("gain", (1, width), "float32", initial=None), StateSpec("total", (1, width), "float32")),
    )
    nodes = [
        helper.make_node("Mul", ["x", "state.gain"], ["scaled"]),
        helper.make_node("Identity", ["state.gain"], ["next.gain"]),
        helper.make_node("Add", ["state.total", "scaled"], ["next.total"]),
        helper.make_node("Sub", ["state.total", "scaled"], ["y"]),
    ]
    gain = (np.arange(1, width + 1, dtype=np.float32) / 4)[None]
    return build("identity_next", spec, nodes, {"initial.gain": gain})


def shared_next(width: int = 5) -> StepGraph:
    """One tensor that is the next value of two states, which start differently and are read apart."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, width), "float32"),),
        outputs=(TensorSpec("y", (1, width), "float32"),),
        states=(StateSpec("a", (1, width), "float32"), StateSpec("b", (1, width), "float32", initial=2.0)),
    )
    nodes = [
        helper.make_node("Mul", ["state.a", "decay"], ["left"]),
        helper.make_node("Add", ["left", "x"], ["sum"]),
        helper.make_node("Identity", ["sum"], ["next.a"]),
        helper.make_node("Identity", ["sum"], ["next.b"]),
        helper.make_node("Sub", ["state.b", "sum"], ["y"]),
    ]
    return build("shared_next", spec, nodes, {"decay": np.float32(DECAY)})


def state_as_output(width: int = 5) -> StepGraph:
    """The new state is an output too, the old one another; the input goes straight to an output and to a state."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, width), "float32"),),
        outputs=tuple(TensorSpec(name, (1, width), "float32") for name in ("y", "before", "same")),
        states=(StateSpec("v", (1, width), "float32"), StateSpec("last", (1, width), "float32")),
    )
    nodes = [
        helper.make_node("Mul", ["state.v", "decay"], ["left"]),
        helper.make_node("Add", ["left", "state.last"], ["y"]),
        helper.make_node("Identity", ["state.v"], ["before"]),
        helper.make_node("Identity", ["x"], ["same"]),
        helper.make_node("Identity", ["y"], ["next.v"]),
        helper.make_node("Identity", ["x"], ["next.last"]),
    ]
    return build("state_as_output", spec, nodes, {"decay": np.float32(DECAY)})


def recurrent_net(
    inputs: int = 20, hidden: tuple[int, int] = (48, 36), outputs: int = 10, batch: int = 1, seed: int = 0
) -> StepGraph:
    """Two recurrent layers of LIF neurons and a readout; spikes are a state that their layer reads a tick later."""
    rng = np.random.default_rng(seed)
    widths = (inputs, *hidden)
    states, spikes, nodes = [], [], []
    constants: Constants = {"decay": np.float32(DECAY), "threshold": np.float32(1.0)}
    source = "x"
    for layer, width in enumerate(hidden):
        prefix = f"layers.{layer}"
        constants[f"{prefix}.W"] = grid_weights(rng, widths[layer], width, scale=2.0)
        constants[f"{prefix}.R"] = grid_weights(rng, width, width)
        constants[f"{prefix}.b"] = grid_weights(rng, width, scale=0.5)
        states += [
            StateSpec(f"{prefix}.v", (batch, width), "float32"),
            StateSpec(f"{prefix}.s", (batch, width), "float32"),
        ]
        spikes.append(SpikeSpec(f"{prefix}.spike", f"{prefix}.fired", (batch, width), 0.15))
        nodes += _recurrent_layer(prefix, source)
        source = f"next.{prefix}.s"
    constants["W_out"] = grid_weights(rng, hidden[-1], outputs)
    nodes.append(helper.make_node("MatMul", [source, "W_out"], ["y"]))
    spec = StepSpec(
        inputs=(TensorSpec("x", (batch, inputs), "float32", firing_rate=0.25),),
        outputs=(TensorSpec("y", (batch, outputs), "float32"),),
        states=tuple(states),
        spikes=tuple(spikes),
    )
    return build("recurrent_net", spec, nodes, constants)


def token_net(vocabulary: int = 17, width: int = 32, seed: int = 0) -> StepGraph:
    """A token selects a row of an embedding; a LIF layer on it gives logits. The input is an index with a range."""
    rng = np.random.default_rng(seed)
    spec = StepSpec(
        inputs=(TensorSpec("token", (1,), "int64", index_range=(0, vocabulary)),),
        outputs=(TensorSpec("logits", (1, vocabulary), "float32"),),
        states=(StateSpec("v", (1, width), "float32"),),
        spikes=(SpikeSpec("lif.spike", "fired", (1, width), 0.2),),
    )
    nodes = [
        helper.make_node("Gather", ["embedding", "token"], ["current"]),
        helper.make_node("Mul", ["state.v", "decay"], ["left"]),
        helper.make_node("Add", ["left", "current"], ["membrane"]),
        helper.make_node("GreaterOrEqual", ["membrane", "threshold"], ["fired"]),
        helper.make_node("Cast", ["fired"], ["spike"], to=TensorProto.FLOAT),
        helper.make_node("Where", ["fired", "zero", "membrane"], ["next.v"]),
        helper.make_node("Gemm", ["spike", "W_out", "b_out"], ["logits"]),
    ]
    constants: Constants = {
        "embedding": (np.round(rng.normal(0.1, 0.5, (vocabulary, width)) * 64) / 64).astype(np.float32),
        "W_out": grid_weights(rng, width, vocabulary),
        "b_out": grid_weights(rng, vocabulary),
        "decay": np.float32(DECAY),
        "threshold": np.float32(1.0),
        "zero": np.float32(0.0),
    }
    return build("token_net", spec, nodes, constants)


ALL = (lif_layer, swap, shift_register, identity_next, shared_next, state_as_output, recurrent_net, token_net)


def _value(name: str, dtype: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    """A graph input or output."""
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)


def _recurrent_layer(prefix: str, source: str) -> list[onnx.NodeProto]:
    """`v = decay · v + x W + s R + b`, `s = v ≥ 1`, `v = v − s`; the spikes are `next.<prefix>.s`."""
    return [
        helper.make_node("Gemm", [source, f"{prefix}.W", f"{prefix}.b"], [f"{prefix}.current"]),
        helper.make_node("MatMul", [f"state.{prefix}.s", f"{prefix}.R"], [f"{prefix}.feedback"]),
        helper.make_node("Mul", [f"state.{prefix}.v", "decay"], [f"{prefix}.left"]),
        helper.make_node("Add", [f"{prefix}.left", f"{prefix}.current"], [f"{prefix}.driven"]),
        helper.make_node("Add", [f"{prefix}.driven", f"{prefix}.feedback"], [f"{prefix}.membrane"]),
        helper.make_node("GreaterOrEqual", [f"{prefix}.membrane", "threshold"], [f"{prefix}.fired"]),
        helper.make_node("Cast", [f"{prefix}.fired"], [f"next.{prefix}.s"], to=TensorProto.FLOAT),
        helper.make_node("Sub", [f"{prefix}.membrane", f"next.{prefix}.s"], [f"next.{prefix}.v"]),
    ]
