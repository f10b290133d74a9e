"""Operators with converters of our own give what ONNX says."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from astroedge.errors import CompileError
from tests.support.builds import build
from tests.support.node_lists import compare, step_of_nodes

CODES = {"float": TensorProto.FLOAT, "int": TensorProto.INT32, "long": TensorProto.INT64, "byte": TensorProto.UINT8}


def test_bits_are_kept() -> None:
    """Floats as integers of their size and back, the lowest bit, the sign of zero and infinities included."""
    rng = np.random.default_rng(2)
    floats = np.array([0.0, -0.0, 1.5, -np.inf, np.inf, 1e-40, *rng.normal(size=13)], np.float32)
    inputs = {
        "f": floats, "d": floats.astype(np.float64), "i": floats.view(np.int32), "b": np.arange(-9, 9, dtype=np.int8),
    }  # fmt: skip
    wanted = {"f": "int", "d": "long", "i": "float", "b": "byte"}
    nodes = [helper.make_node("BitCast", [name], [f"y_{name}"], to=CODES[kind]) for name, kind in wanted.items()]
    given = compare(nodes, inputs, {}, opset=26)
    for name, array in inputs.items():
        assert given[f"y_{name}"].tobytes() == array.tobytes()


def test_truth_values_have_no_bits() -> None:
    """A bit cast from a Boolean is refused by name: one byte in 256 is one."""
    node = helper.make_node("BitCast", ["x"], ["y"], to=TensorProto.UINT8)
    graph = step_of_nodes([node], {"x": np.zeros(3, np.bool_)}, {}, {"y": np.zeros(3, np.uint8)}, 26)
    with pytest.raises(CompileError, match="BitCast from bool to uint8"):
        build(graph)
