"""A network whose spikes lie where something else does before the rest of an update would read them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper

from astroedge.runtimes import load
from astroedge.step.graph import StepGraph
from astroedge.step.spec import SpikeSpec, StateSpec, StepSpec, TensorSpec
from tests.support import graphs
from tests.support.builds import build_for_teams

HEADS, WIDTH = 8, 16
SIZE = HEADS * WIDTH
MOVED, ALSO_MOVED = 1400, 4000  # elements of states that a copy moves at the end of the tick


def two_memories() -> StepGraph:
    """Spikes q read a state G, of which v is made, and then H, which k⊗v updates; a and c are moved to b and d."""
    rng, nodes = np.random.default_rng(1), list[NodeProto]()

    def add(operator: str, inputs: str, output: str, **attributes: int) -> None:
        nodes.append(helper.make_node(operator, inputs.split(), [output], **attributes))

    for operator, inputs, output in (
        ("Slice", "state.b start stop axis", "some"), ("Neg", "some", "y.b"), ("Neg", "state.d", "y.d"),
        ("Tanh", "wide", "squashed"), ("MatMul", "x W.q", "current"), ("GreaterOrEqual", "current threshold", "fired"),
    ):  # fmt: skip
        add(operator, inputs, output)
    add("Cast", "fired", "spikes", to=TensorProto.FLOAT)
    for operator, inputs, output in (
        ("Reshape", "spikes by_head", "q"), ("MatMul", "q state.G", "read"), ("Identity", "state.G", "next.G"),
        ("Reshape", "read flat", "read.flat"), ("Softmax", "read.flat", "once"), ("Softmax", "once", "twice"),
        ("MatMul", "twice W.v", "v.one"), ("MatMul", "squashed W.wide", "v.other"), ("Add", "v.one v.other", "v"),
        ("Reshape", "v by_head", "v.head"), ("Identity", "v", "y.v"), ("Mul", "k v.head", "change"),
        ("Mul", "state.H decay", "left"), ("Add", "left change", "next.H"), ("MatMul", "q next.H", "answer"),
        ("Reshape", "answer flat", "answer.flat"), ("Softmax", "answer.flat", "y"),
        ("Identity", "state.a", "next.b"), ("Identity", "x.a", "next.a"),
        ("Identity", "state.c", "next.d"), ("Identity", "x.c", "next.c"),
    ):  # fmt: skip
        add(operator, inputs, output)
    square = (HEADS, WIDTH, WIDTH)
    given = {"x": (1, SIZE), "k": (HEADS, WIDTH, 1), "wide": (1, 4 * SIZE), "x.a": (1, MOVED), "x.c": (1, ALSO_MOVED)}
    made = {"y": (1, SIZE), "y.v": (1, SIZE), "y.b": (1, 64), "y.d": (1, ALSO_MOVED)}
    kept = {"b": (1, MOVED), "a": (1, MOVED), "d": (1, ALSO_MOVED), "c": (1, ALSO_MOVED)}
    spec = StepSpec(
        inputs=tuple(TensorSpec(name, shape, "float32") for name, shape in given.items()),
        outputs=tuple(TensorSpec(name, shape, "float32") for name, shape in made.items()),
        states=(
            StateSpec("G", square, "float32", initial=0.5),
            StateSpec("H", square, "float32"),
            *(StateSpec(name, shape, "float32") for name, shape in kept.items()),
        ),
        spikes=(SpikeSpec("q.spike", "fired", (1, SIZE), 0.2),),
    )
    constants = {
        "W.q": graphs.grid_weights(rng, SIZE, SIZE, scale=2), "W.wide": graphs.grid_weights(rng, 4 * SIZE, SIZE),
        "W.v": graphs.grid_weights(rng, SIZE, SIZE), "threshold": np.float32(0.6),
        "decay": np.linspace(0.5, 0.95, HEADS).astype(np.float32).reshape(HEADS, 1, 1),
        "by_head": np.int64([HEADS, 1, WIDTH]), "flat": np.int64([1, SIZE]),
        "start": np.int64([0]), "stop": np.int64([64]), "axis": np.int64([1]),
    }  # fmt: skip
    return graphs.build("two memories", spec, nodes, constants)


@pytest.mark.compiles
def test_spikes_that_are_written_over_behind_their_list_leave_the_update_whole() -> None:
    """Rows would be updated twice or never: copies that end the tick make time that was not there to hold them for."""
    graph = two_memories()
    bundle = build_for_teams(graph, shared_bytes=12_000)
    inputs = graphs.random_inputs(graph, 40)
    with load(bundle, threads=1) as one:
        expected, state = one.run(**inputs), one.state.copy()
    for threads in (2, 3, 5):
        with load(bundle, threads=threads) as team:
            given = team.run(**inputs)
            assert all(given[name].tobytes() == array.tobytes() for name, array in expected.items())
            assert np.array_equal(team.state, state)
