"""What is folded into constants or written as functions before a foreign graph becomes a step."""

from __future__ import annotations

import numpy as np
from onnx import helper

from astroedge.exporters.from_onnx.fold_graph import fold_graph, inferred_shapes
from astroedge.step.onnx_session import open_session
from tests.support.foreign_onnx import model_of, value


def test_operator_of_unknown_result_becomes_its_function() -> None:
    """ONNX infers nothing of GroupNormalization; its function has a result of known shape, and the same numbers."""
    node = helper.make_node("GroupNormalization", ["x", "s", "s"], ["y"], num_groups=2)
    model = model_of([node], [value("x", [1, 4, 3])], [value("y", [1, 4, 3])], s=np.arange(1, 5).astype(np.float32))
    model.opset_import[0].version = 21
    folded = fold_graph(model)
    assert inferred_shapes(folded)["y"] == (1, 4, 3)
    x = {"x": np.random.default_rng(1).normal(size=(1, 4, 3)).astype(np.float32)}
    given, expected = (open_session(graph).run(None, x)[0] for graph in (folded, model))
    np.testing.assert_allclose(given, expected, atol=1e-5)
