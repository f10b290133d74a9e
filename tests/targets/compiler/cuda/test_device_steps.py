"""The CUDA C of whole steps, run on the CPU: the bits of the processors' sessions, however many blocks there are."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from onnx import helper

from astroedge.runtimes import load
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from tests.cuda_emulator.kernels import KernelError
from tests.support import graphs, networks
from tests.support.builds import build
from tests.support.device_steps import DeviceStep, device_step, same_bits
from tests.support.node_forms import node, step_of_nodes

TICKS = 50


@cache
def step_of(name: str) -> DeviceStep:
    """The CUDA C of a network, made once."""
    return device_step(networks.graph_of(name))


@pytest.mark.parametrize("name", ["adaptive-threshold", "convolutional", "astrosnn"])
def test_a_network_has_the_bits_of_the_processor(name: str) -> None:
    """Outputs, states and activity of a launch of 50 ticks are those of the native session, in any order of threads."""
    inputs = networks.inputs_of(name, TICKS)
    with load(networks.bundle_of(name)) as session:
        wanted, states, activity = session.run(**inputs), dict(session.states), session.activity()
    for grid, seed in ((2, 1), (3, 5)):
        given, after, counted = step_of(name).run(inputs, grid=grid, seed=seed)
        assert same_bits(given, wanted) == []
        assert same_bits(after, states) == []
        assert counted == {counter: found.active for counter, found in activity.items()}


def test_many_operators_have_the_bits_of_the_processor() -> None:
    """Sorting, writes at computed places, norms, pools, integers of every width, float16, float64 and NaN."""
    rng = np.random.default_rng(4)
    numbers = rng.standard_normal((2, 24)).astype(np.float32)
    numbers[0, :4] = np.inf, -np.inf, -0.0, 1e-40
    feeds = {
        "x": numbers,
        "z": rng.standard_normal((2, 24)).astype(np.float32),
        "h": rng.standard_normal((2, 24)).astype(np.float16),
        "d": rng.standard_normal((2, 24)),
        "i": rng.integers(-128, 128, (2, 24)).astype(np.int8),
        "u": rng.integers(0, 256, (2, 24)).astype(np.uint8),
        "w": rng.integers(-(2**31), 2**31, (2, 24)).astype(np.int32),
        "b": rng.random((2, 24)) < 0.5,
        "p": rng.integers(0, 24, (2, 24)),
        "a": rng.standard_normal((1, 3, 8, 8)).astype(np.float32),
    }
    ones = np.ones(24, np.float32)
    calls = [
        node("Sqrt", "x"),  # y0_0: a NaN where x is negative
        *(node(kind, "y0_0") for kind in ("Relu", "Exp", "Tanh", "IsNaN", "Round", "Sign")),
        *(node(kind, "y0_0", "z") for kind in ("Max", "Min", "Greater", "Equal", "LessOrEqual")),
        node("Cast", "y0_0", to=6), node("Cast", "y0_0", to=9), node("Cast", "y0_0", to=10),
        *(node(kind, "x") for kind in ("Relu", "Exp", "Tanh", "Sigmoid", "Sin", "Log", "Round", "IsInf", "Sign")),
        *(node(kind, "x", "z") for kind in ("Max", "Min", "Greater", "Equal", "LessOrEqual", "Div", "Pow")),
        *(node(kind, "h") for kind in ("Tanh", "Abs", "Floor", "Relu", "Softmax", "Sqrt")),
        *(node(kind, "h", "h") for kind in ("Add", "Mul", "Div", "Sub")),
        node("Cast", "h", to=1), node("Cast", "x", to=10), node("Cast", "x", to=6), node("Cast", "x", to=9),
        node("Cast", "z", to=3), node("Cast", "z", to=2), node("Cast", "b", to=10), node("Cast", "w", to=1),
        *(node(kind, "d", "d") for kind in ("Mul", "Div", "Less")), node("Floor", "d"), node("Cast", "d", to=1),
        *(node(kind, "i", "i") for kind in ("Add", "Mul", "Sub", "Max", "Div")), node("Cast", "i", to=6),
        *(node(kind, "u", "u") for kind in ("Add", "Mul", "Div", "BitwiseAnd")), node("BitwiseNot", "u"),
        *(node(kind, "w", "w") for kind in ("BitwiseXor", "Equal", "Max")), node("Abs", "i"),
        *(node(kind, "b", "b") for kind in ("And", "Xor")), node("Not", "b"), node("Where", "b", "x", "z"),
        node("TopK", "z", np.array([5]), outputs=2), node("ArgMax", "z", axis=1), node("CumSum", "z", np.array(1)),
        node("LayerNormalization", "z", ones, ones), node("Softmax", "z"), node("LogSoftmax", "z"),
        node("ReduceSum", "z", np.array([1])), node("ReduceMax", "z", np.array([1])), node("ReduceMean", "h"),
        node("GatherElements", "z", "p", axis=1), node("ScatterElements", "z", "p", "z", axis=1, reduction="add"),
        node("ScatterElements", "b", "p", "b", axis=1), node("Transpose", "z", perm=[1, 0]),
        node("MaxPool", "a", kernel_shape=[2, 2], strides=[2, 2]), node("AveragePool", "a", kernel_shape=[3, 3]),
        node("Resize", "a", np.array([], np.float32), np.array([1, 1, 2, 2], np.float32), mode="linear"),
        node("Pad", "a", np.array([0, 0, 1, 1, 0, 0, 1, 2])), node("Concat", "x", "z", axis=0),
        node("DynamicQuantizeLinear", "z", outputs=3),
    ]  # fmt: skip
    graph = step_of_nodes(calls, feeds)
    inputs = {name: np.stack([array, array[::-1]]) for name, array in feeds.items()}
    with load(build(graph)) as session:
        wanted = session.run(**inputs)
    given, _, _ = device_step(graph).run(inputs, grid=2, seed=3)
    assert same_bits(given, wanted) == []


@pytest.mark.parametrize(
    ("name", "precision"),
    [("adaptive-threshold", "float16"), ("convolutional", "int8"), ("adaptive-threshold", "int4")],
)
def test_stored_weights_have_the_bits_of_the_processor(name: str, precision: str) -> None:
    """Products and convolutions of weights in fewer bits."""
    inputs = networks.inputs_of(name, 20)
    with load(networks.bundle_of(name, precision=precision)) as session:
        wanted = session.run(**inputs)
    given, _, _ = device_step(networks.graph_of(name), precision=precision).run(inputs)
    assert same_bits(given, wanted) == []


def test_a_text_is_the_same_every_time() -> None:
    """Compiling a graph again gives the very text."""
    assert device_step(networks.graph_of("adaptive-threshold")).made.text == step_of("adaptive-threshold").made.text


def test_every_wait_is_needed() -> None:
    """No two threads race, and without any one wait, of blocks or in one, between calls that mix elements, two do."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, 200), "float32"),),
        outputs=(TensorSpec("y", (1, 1200), "float32"),),
        states=(StateSpec("s", (1, 200), "float32"), StateSpec("t", (1, 1200), "float32")),
    )
    back = {"starts": [-1], "ends": [-5000], "axes": [1], "steps": [-1]}
    weights = np.random.default_rng(2).standard_normal((100, 1200)).astype(np.float32)
    nodes = [helper.make_node("Add", ["x", "state.s"], ["added0"])]
    for number in range(2):
        nodes.append(helper.make_node("Slice", [f"added{number}", *back], [f"back{number}"]))
        nodes.append(helper.make_node("ReduceMax", [f"back{number}", "last"], [f"most{number}"], keepdims=1))
        nodes.append(helper.make_node("Sub", [f"back{number}", f"most{number}"], [f"turned{number}"]))
        if number == 0:
            nodes.append(helper.make_node("Neg", ["turned0"], ["next.s"]))
            nodes.append(helper.make_node("Reshape", ["turned0", "pairs"], ["paired"]))
            nodes.append(helper.make_node("ReduceMax", ["paired", "last"], ["larger"], keepdims=0))
            nodes.append(helper.make_node("Reshape", ["larger", "row"], ["left"]))
            nodes.append(helper.make_node("MatMul", ["left", "weights"], ["sums"]))
            nodes.append(helper.make_node("Add", ["sums", "state.t"], ["added1"]))
    nodes += [helper.make_node("Relu", ["turned1"], ["y"]), helper.make_node("Neg", ["turned1"], ["next.t"])]
    constants = {**back, "last": [1], "pairs": [100, 2], "row": [1, 100], "weights": weights}
    step = device_step(graphs.build("turns", spec, nodes, constants))
    assert 0 < step.made.repeats.calls < len(step.made.plan.calls)
    inputs = {"x": np.random.default_rng(1).standard_normal((2, 1, 200)).astype(np.float32)}
    step.run(inputs, races=True)
    assert step.waits >= 5
    for number in range(step.waits):
        with pytest.raises(KernelError, match="race"):
            step.run(inputs, races=True, text=step.without_wait(number))
