"""Integers of a table that only a comparison reads keep what the comparison says of its numbers."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from astroedge.step.graph import StepGraph
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from astroedge.targets import quantise
from tests.support.graphs import build, step_through

TOKENS, WIDTH = 40, 150
LOOK_UP = helper.make_node("Gather", ["table", "i"], ["row"])


def binary_table(*nodes: onnx.NodeProto, constant: float = 0.0) -> StepGraph:
    """A table of normal numbers whose rows become spikes `fired`, which a state sums."""
    spec = StepSpec(
        inputs=(TensorSpec("i", (1,), "int64", index_range=(0, TOKENS)),),
        outputs=(TensorSpec("y", (1, WIDTH), "float32"),),
        states=(StateSpec("v", (1, WIDTH), "float32"),),
    )
    rest = [
        helper.make_node("Cast", ["fired"], ["y"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Add", ["y", "state.v"], ["next.v"]),
    ]
    table = np.random.default_rng(0).normal(size=(TOKENS, WIDTH)).astype(np.float32)
    table[3] = np.linspace(-1e-3, 1e-3, WIDTH)  # one large number makes all others less than half a step
    table[3, 0] = 5.0
    return build("binary", spec, [LOOK_UP, *nodes, *rest], {"table": table, "at": np.float32(constant)})


def spikes(graph: StepGraph) -> np.ndarray:
    """What fires for each token."""
    return step_through(graph, {"i": np.arange(TOKENS)[:, None]})[0]["y"]


@pytest.mark.parametrize("precision", ["int8", "int4"])
@pytest.mark.parametrize(
    ("comparison", "operands", "constant"),
    [
        ("GreaterOrEqual", ("row", "at"), 0.0),
        ("Greater", ("row", "at"), 0.0),
        ("Less", ("row", "at"), -0.7),
        ("LessOrEqual", ("at", "row"), 0.3),
    ],
)
def test_every_spike_stays(comparison: str, operands: tuple[str, str], constant: float, precision: str) -> None:
    """Numbers next to the threshold go to its right side, whichever it is, where nearest integers change spikes."""
    decide = helper.make_node(comparison, operands, ["fired"])
    graph, expected = binary_table(decide, constant=constant), None
    expected = spikes(graph)
    quantised = quantise(graph, precision)
    np.testing.assert_array_equal(spikes(quantised.graph), expected)
    assert 0.05 < expected.mean() < 0.95
    assert quantise(quantised.graph, precision).graph.digest == quantised.graph.digest
    copied = [helper.make_node("Identity", ["row"], ["copy"]), helper.make_node(comparison, operands, ["fired"])]
    unknown = binary_table(*copied, constant=constant)
    assert not np.array_equal(spikes(quantise(unknown, precision).graph), expected)


def test_a_table_that_something_else_reads_gets_the_nearest_integers() -> None:
    """An addition beside the comparison, or a comparison with what the step computes, needs the numbers themselves."""
    decide = helper.make_node("GreaterOrEqual", ["row", "at"], ["fired"])
    for beside in ([helper.make_node("Neg", ["row"], ["n"])], [helper.make_node("Less", ["row", "state.v"], ["n"])]):
        nearest, found = binary_table(decide, *beside), binary_table(decide)
        assert quantise(nearest, "int4").weights.matrices.keys() != quantise(found, "int4").weights.matrices.keys()
