"""Steps without state or with little in them: one output, values that are only passed on, products of vectors."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import NodeProto, helper

from astroedge.runtimes import load
from astroedge.runtimes.checking.reference import ReferenceSession
from astroedge.step.spec import StepSpec, TensorSpec
from tests.support import graphs
from tests.support.builds import build

Shape = tuple[int, ...]
TICKS = 5
VECTOR = (np.arange(12, dtype=np.float32) - 6) / 4
MATRIX = np.outer(VECTOR, VECTOR[:5]).astype(np.float32)
CASES: dict[str, tuple[NodeProto, Shape, Shape, graphs.Constants]] = {
    "one operator": (helper.make_node("Relu", ["x"], ["y"]), (1, 8), (1, 8), {}),
    "passed on": (helper.make_node("Identity", ["x"], ["y"]), (1, 8), (1, 8), {}),
    "a number": (helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0), (3, 5), (), {}),
    "one product": (helper.make_node("MatMul", ["x", "W"], ["y"]), (1, 12), (1, 5), {"W": MATRIX}),
    "vector times matrix": (helper.make_node("MatMul", ["x", "W"], ["y"]), (12,), (5,), {"W": MATRIX}),
    "matrix times vector": (helper.make_node("MatMul", ["x", "w"], ["y"]), (3, 12), (3,), {"w": VECTOR}),
    "vector times vector": (helper.make_node("MatMul", ["x", "w"], ["y"]), (12,), (), {"w": VECTOR}),
    "vector times matrices": (helper.make_node("MatMul", ["x", "W"], ["y"]), (12,), (2, 5),
                              {"W": np.stack([MATRIX, -MATRIX])}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_function_is_the_graph(case: str) -> None:
    """The output is ONNX Runtime's, bit for bit: all sums are exact."""
    node, shape, result, constants = CASES[case]
    x, y = TensorSpec("x", shape, "float32"), TensorSpec("y", result, "float32")
    graph = graphs.build("function", StepSpec(inputs=(x,), outputs=(y,), states=()), [node], constants)
    inputs = graphs.random_inputs(graph, TICKS, seed=8)
    with load(build(graph)) as session:
        np.testing.assert_array_equal(session.run(**inputs)["y"], ReferenceSession(graph).run(**inputs)["y"])
