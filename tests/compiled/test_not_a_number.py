"""A NaN that arises inside a step stays one, whatever bounds it meets: no overflow is turned into a number."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import NodeProto, helper

from astroedge.runtimes import load
from astroedge.runtimes.checking.reference import ReferenceSession
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StepSpec, TensorSpec
from tests.support import graphs
from tests.support.builds import build

TICKS, WIDTH = 6, 37
VALUES = np.array([0.0, -0.0, 1.0, -1.0, 0.5, 3.0, np.inf, -np.inf], np.float32)
NODES: dict[str, NodeProto] = {
    "relu": helper.make_node("Relu", ["n"], ["y"]),
    "clip": helper.make_node("Clip", ["n", "low", "high"], ["y"]),
    "maximum": helper.make_node("Max", ["n", "b"], ["y"]),
    "maximum, other way round": helper.make_node("Max", ["b", "n"], ["y"]),
    "maximum of three": helper.make_node("Max", ["b", "n", "a"], ["y"]),
    "minimum": helper.make_node("Min", ["n", "b"], ["y"]),
    "minimum, other way round": helper.make_node("Min", ["b", "n"], ["y"]),
}


def _graph(node: NodeProto) -> StepGraph:
    """`node` on n = (a − a) + a, which is NaN where a is infinite and a elsewhere."""
    tensors = [TensorSpec(name, (WIDTH,), "float32") for name in ("a", "b", "y")]
    first = [helper.make_node("Sub", ["a", "a"], ["zero"]), helper.make_node("Add", ["zero", "a"], ["n"])]
    constants: graphs.Constants = {"low": np.float32(-0.75), "high": np.float32(0.75)}
    used = {key: value for key, value in constants.items() if key in node.input}
    spec = StepSpec(inputs=tuple(tensors[:2]), outputs=(tensors[2],), states=())
    return graphs.build("nan", spec, [*first, node], used)


@pytest.mark.parametrize("case", NODES)
def test_bounds_pass_a_nan_on(case: str) -> None:
    """ONNX Runtime's values, NaN where it has NaN."""
    graph = _graph(NODES[case])
    rng = np.random.default_rng(0)
    inputs = {name: rng.choice(VALUES, (TICKS, WIDTH)) for name in ("a", "b")}
    with load(build(graph)) as session:
        given = session.run(**inputs)["y"]
    assert np.isnan(given).any()
    np.testing.assert_array_equal(given, ReferenceSession(graph).run(**inputs)["y"])


def test_a_maximum_of_two_is_one_element_wise_kernel() -> None:
    """It is not made by stacking its operands and reducing the stack."""
    kernels = build(_graph(NODES["maximum"])).manifest.kernels
    assert [kernel.kind for kernel in kernels] == ["element-wise"]


def test_an_infinite_weight_is_multiplied_by_silent_inputs() -> None:
    """0 · ∞ is NaN: a matrix with such a weight is dense even where event kernels are asked for."""
    weights = np.zeros((64, 64), np.float32)
    weights[3, 5] = np.inf
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, 64), "float32", firing_rate=0.2),),
        outputs=(TensorSpec("y", (1, 64), "float32"),),
        states=(),
    )
    graph = graphs.build("infinite", spec, [helper.make_node("MatMul", ["x", "W"], ["y"])], {"W": weights})
    inputs = graphs.random_inputs(graph, TICKS, seed=10)
    with load(build(graph, kernels="event")) as session:
        given = session.run(**inputs)["y"]
    np.testing.assert_array_equal(given, ReferenceSession(graph).run(**inputs)["y"])
