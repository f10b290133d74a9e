"""Operators that ONNX Runtime does not have yet become ONNX's own functions of those that it has."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

import astroedge
from astroedge.errors import UnsupportedOpError
from astroedge.exporters.from_onnx.older_operators import NEWEST_OPSET, in_older_operators
from astroedge.step.onnx_session import open_session
from tests.support.builds import build
from tests.support.foreign_onnx import model_of, value

RNG = np.random.default_rng(6)


def _of_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    model.opset_import[0].version, model.ir_version = opset, onnx.IR_VERSION
    return model


@pytest.mark.compiles
def test_a_causal_convolution_streams() -> None:
    """The state of a CausalConvWithState, of operator set 27, goes from tick to tick: a whole sequence one by one."""
    kernel = RNG.normal(size=(2, 1, 3)).astype(np.float32)
    node = helper.make_node("CausalConvWithState", ["x", "w", "", "past"], ["y", "present"])
    inputs, outputs = ([value(a, [1, 2, 1]), value(b, [1, 2, 2])] for a, b in (("x", "past"), ("y", "present")))
    graph = astroedge.export_onnx(_of_opset(model_of([node], inputs, outputs, w=kernel), 27), {"past": "present"})
    sequence = RNG.normal(size=(7, 1, 2, 1)).astype(np.float32)
    with astroedge.load(build(graph)) as session:
        given = session.run(x=sequence)["y"][:, 0, :, 0]
    padded = np.concatenate([np.zeros((2, 2)), sequence[:, 0, :, 0]])
    expected = sum(padded[tap : tap + 7] * kernel[:, 0, tap] for tap in range(3))
    np.testing.assert_allclose(given, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "opset", "shape", "options"),
    [
        ("Swish", NEWEST_OPSET, [2, 3], {"alpha": 1.5}),
        ("SwiGLU", 28, [2, 3], {}),
        ("SpaceToDepth", 28, [1, 2, 4, 4], {"blocksize": 2, "mode": "CRD"}),
        ("Celu", 28, [2, 3], {"alpha": 0.5}),
        ("Attention", 25, [1, 2, 5, 4], {"left_window_size": 1, "is_causal": 1}),
    ],
)
def test_newer_operator_gives_what_onnx_says(kind: str, opset: int, shape: list[int], options: dict) -> None:
    """ONNX Runtime runs the graph with the function, and the numbers are those of ONNX's own evaluator."""
    names = {"SwiGLU": ["x", "x"], "Attention": ["x", "x", "x"]}.get(kind, ["x"])
    node = helper.make_node(kind, names, ["y"], **options)
    model = _of_opset(model_of([node], [value("x", shape)], [onnx.ValueInfoProto(name="y")]), opset)
    x = {"x": RNG.normal(size=shape).astype(np.float32)}
    model.graph.output[0].CopyFrom(onnx.shape_inference.infer_shapes(model).graph.output[0])
    given = open_session(in_older_operators(model)).run(None, x)[0]
    np.testing.assert_allclose(given, ReferenceEvaluator(model).run(None, x)[0], atol=1e-6)


def test_a_graph_of_a_set_that_is_there_is_left_alone() -> None:
    """Nothing is copied where nothing is newer, though an attribute be one that later sets have no more."""
    mean = helper.make_node("ReduceMean", ["x"], ["y"], axes=[0], keepdims=1)
    model = model_of([mean], [value("x", [2])], [value("y", [1])])
    assert in_older_operators(model) is model


def test_what_only_the_newer_set_can_say_is_refused() -> None:
    """What no older operator says is an error with its name and the set that there is."""
    node = helper.make_node("Unheard", ["x"], ["y"])
    model = _of_opset(model_of([node], [value("x", [2])], [value("y", [2])]), 28)
    with pytest.raises(UnsupportedOpError, match=r"operator set 28, .* up to 26.*Unheard"):
        in_older_operators(model)
