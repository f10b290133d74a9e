"""Random step graphs whose states are read late, shared, swapped and overwritten; every sum in them is exact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from onnx import NodeProto, TensorProto, helper

from astroedge.step.graph import StepGraph
from astroedge.step.spec import SpikeSpec, StateSpec, StepSpec, TensorSpec
from tests.support import graphs

KINDS = ("Add", "Sub", "Max", "Min", "Neg", "Abs", "Relu", "halve", "select", "spike", "product", "roll", "reshape")


@dataclass(frozen=True)
class Flow:
    """What a step computes: operations on what there is so far, and which of it is given out and carried over.

    An operation is a kind and two numbers that choose its operands; all numbers are taken modulo what there is.
    """

    states: int
    width: int
    batch: int
    operations: tuple[tuple[str, int, int], ...]
    nexts: tuple[int, ...]
    outputs: tuple[int, ...]
    reads_late: bool
    seed: int


NUMBERS = st.integers(0, 99)


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    """Up to five states and fifteen operations."""
    states = draw(st.integers(1, 5))
    return Flow(
        states=states,
        width=draw(st.sampled_from((1, 2, 5, 8, 16, 20, 33, 64, 70, 270))),
        batch=draw(st.integers(1, 2)),
        operations=tuple(draw(st.lists(st.tuples(st.sampled_from(KINDS), NUMBERS, NUMBERS), min_size=2, max_size=15))),
        nexts=tuple(draw(st.lists(NUMBERS, min_size=states, max_size=states))),
        outputs=tuple(draw(st.lists(NUMBERS, max_size=2))),
        reads_late=draw(st.booleans()),
        seed=draw(st.integers(0, 2**16)),
    )


class Builder:
    """Collects the nodes of a step; every tensor is `(batch, width)` and within ±8."""

    def __init__(self, flow: Flow) -> None:
        """Begin with the input and the states."""
        self.flow = flow
        self.nodes: list[NodeProto] = []
        self.spikes: list[SpikeSpec] = []
        self.pool = ["x", *(f"state.{index}" for index in range(flow.states))]
        self.constants: graphs.Constants = {
            **{name: np.float32(value) for name, value in (("half", 0.5), ("one", 1), ("low", -8), ("high", 8))},
            **{name: np.float32(value) for name, value in (("eight", 8), ("eighth", 0.125))},
            "W": graphs.grid_weights(np.random.default_rng(flow.seed), flow.width, flow.width),
            "flat": np.array([flow.batch * flow.width]),
            "shape": np.array([flow.batch, flow.width]),
            "zero": np.array([0]),
            "cut": np.array([flow.width // 2]),
            "end": np.array([flow.width]),
            "last": np.array([1]),
        }

    def node(self, kind: str, *operands: str, **attributes: object) -> str:
        """Add a node and return the name of its result."""
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(operands), [name], **attributes))
        return name

    def add(self, kind: str, a: str, b: str) -> None:
        """Add an operation on `a` and `b`; its result can be used by later ones."""
        if kind in ("Add", "Sub"):
            value = self.node("Clip", self.node(kind, a, b), "low", "high")
        elif kind in ("Max", "Min"):
            value = self.node(kind, a, b)
        elif kind in ("Neg", "Abs", "Relu"):
            value = self.node(kind, a)
        elif kind == "halve":
            value = self.node("Mul", a, "half")
        elif kind == "select":
            value = self.node("Where", self.node("Greater", a, b), b, a)
        elif kind == "spike":
            value = self._spike(a)
        elif kind == "product":
            value = self._product(a)
        elif kind == "roll":
            value = self._roll(a)
        else:
            value = self.node("Reshape", self.node("Reshape", a, "flat"), "shape")
        self.pool.append(value)

    def _spike(self, a: str) -> str:
        fired = self.node("GreaterOrEqual", a, "one")
        self.spikes.append(SpikeSpec(f"spike.{len(self.spikes)}", fired, (self.flow.batch, self.flow.width), 0.2))
        return self.node("Cast", fired, to=TensorProto.FLOAT)

    def _product(self, a: str) -> str:
        """`a W` with `a` rounded to eighths, so that every sum is exact."""
        rounded = self.node("Mul", self.node("Floor", self.node("Mul", a, "eight")), "eighth")
        return self.node("Clip", self.node("MatMul", rounded, "W"), "low", "high")

    def _roll(self, a: str) -> str:
        """The two halves of `a` in the other order."""
        if self.flow.width == 1:
            return self.node("Identity", a)
        left = self.node("Slice", a, "zero", "cut", "last")
        right = self.node("Slice", a, "cut", "end", "last")
        return self.node("Concat", right, left, axis=1)

    def choose(self, number: int) -> str:
        """One of the tensors there are."""
        return self.pool[number % len(self.pool)]


def make_graph(flow: Flow) -> StepGraph:
    """The step graph of a flow; its first output is the sum of all old states, or only of those nothing else reads."""
    builder = Builder(flow)
    for kind, a, b in flow.operations:
        builder.add(kind, builder.choose(a), builder.choose(b))
    nexts = [builder.choose(number) for number in flow.nexts]
    given = [builder.choose(number) for number in flow.outputs]
    nodes = builder.nodes
    read = _reaches(nodes, {*nexts, *given})
    total = "x"
    for state in (f"state.{index}" for index in range(flow.states)):
        if flow.reads_late or state not in read:
            total = builder.node("Add", total, state)
    for output, source in zip(_outputs(flow), [total, *given], strict=True):
        nodes.append(helper.make_node("Identity", [source], [output]))
    for index, source in enumerate(nexts):
        nodes.append(helper.make_node("Identity", [source], [f"next.{index}"]))
    used = {name for node in nodes for name in node.input}
    shape = (flow.batch, flow.width)
    spec = StepSpec(
        inputs=(TensorSpec("x", shape, "float32"),),
        outputs=tuple(TensorSpec(name, shape, "float32") for name in _outputs(flow)),
        states=tuple(StateSpec(str(index), shape, "float32", initial=index - 1.5) for index in range(flow.states)),
        spikes=tuple(builder.spikes),
    )
    return graphs.build("flow", spec, nodes, {key: value for key, value in builder.constants.items() if key in used})


def _reaches(nodes: list[NodeProto], results: set[str]) -> set[str]:
    """Everything that the results depend on."""
    found = set(results)
    for node in reversed(nodes):
        if found.intersection(node.output):
            found.update(node.input)
    return found


def _outputs(flow: Flow) -> list[str]:
    return [f"y{index}" for index in range(1 + len(flow.outputs))]
