"""Products, norms and softmax in float16 are computed in float32; what no kernel computes is refused, never misread."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import NodeProto, helper

from astroedge.errors import CompileError
from astroedge.runtimes import load
from astroedge.runtimes.checking.reference import ReferenceSession
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StepSpec, TensorSpec
from tests.support import graphs
from tests.support.builds import build

TICKS = 5
RNG = np.random.default_rng(0)
HALVES = RNG.normal(size=(80, 400)).astype(np.float16)
HALF_CASES: dict[str, tuple[NodeProto, tuple[int, ...], tuple[int, ...], graphs.Constants]] = {
    "product with a weight": (helper.make_node("MatMul", ["x", "W"], ["y"]), (2, 80), (2, 400), {"W": HALVES}),
    "product of computed values": (helper.make_node("MatMul", ["x", "x"], ["y"]), (8, 8), (8, 8), {}),
    "layer norm": (helper.make_node("LayerNormalization", ["x", "g", "b"], ["y"], axis=-1), (2, 80), (2, 80),
                   {"g": HALVES[:, 0], "b": HALVES[:, 1]}),
    "softmax": (helper.make_node("Softmax", ["x"], ["y"], axis=-1), (3, 33), (3, 33), {}),
}  # fmt: skip


def _graph(
    node: NodeProto, dtype: str, shape: tuple[int, ...], result: tuple[int, ...], constants: graphs.Constants
) -> StepGraph:
    spec = StepSpec(inputs=(TensorSpec("x", shape, dtype),), outputs=(TensorSpec("y", result, dtype),), states=())
    return graphs.build("dtype", spec, [node], constants)


@pytest.mark.parametrize("case", HALF_CASES)
def test_half_precision_is_computed_in_single_and_rounded(case: str) -> None:
    """Results agree with ONNX Runtime to a few units of the last place of a float16."""
    node, shape, result, constants = HALF_CASES[case]
    graph = _graph(node, "float16", shape, result, constants)
    x = RNG.normal(size=(TICKS, *shape)).astype(np.float16)
    expected = ReferenceSession(graph).run(x=x)["y"]
    with load(build(graph)) as session:
        given = session.run(x=x)["y"]
    np.testing.assert_allclose(given, expected, rtol=2e-3, atol=4e-3 * float(np.abs(expected).max()))


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integer_products_are_exact(dtype: str) -> None:
    """A product of integers is the one that every order of additions gives."""
    weights = RNG.integers(-9, 9, (8, 4)).astype(dtype)
    graph = _graph(helper.make_node("MatMul", ["x", "W"], ["y"]), dtype, (1, 8), (1, 4), {"W": weights})
    x = RNG.integers(-9, 9, (TICKS, 1, 8)).astype(dtype)
    with load(build(graph)) as session:
        np.testing.assert_array_equal(session.run(x=x)["y"], x @ weights)


def test_float64_products_are_refused() -> None:
    """A product of float64 has no kernel; the message names the product and its dtype."""
    weights = RNG.normal(size=(8, 4))
    graph = _graph(helper.make_node("MatMul", ["x", "W"], ["y"]), "float64", (1, 8), (1, 4), {"W": weights})
    with pytest.raises(CompileError, match="'W' takes float64") as caught:
        build(graph)
    assert "failed in" not in str(caught.value)
