"""Spikes are followed through operators on whole tensors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper

from astroedge.step.find_sparsity import find_sparsity
from astroedge.step.graph import StepGraph
from astroedge.step.sparsity import Sparsity
from astroedge.step.spec import SpikeSpec, StepSpec, TensorSpec
from tests.support import graphs

node = helper.make_node


def _graph(made: NodeProto, shape: tuple[int, ...], constants: Mapping[str, np.ndarray]) -> StepGraph:
    """`made` makes `z` of `shape` from spikes s and t (1, 2, 8, 8), which fire at 0.1 and 0.2, and events x at 0.5."""
    spec = StepSpec(
        inputs=(TensorSpec("u", (1, 2, 8, 8), "float32"), TensorSpec("x", (1, 2, 8, 8), "float32", firing_rate=0.5)),
        outputs=(TensorSpec("z", shape, "float32"),),
        states=(),
        spikes=(SpikeSpec("a", "s?", (1, 2, 8, 8), 0.1), SpikeSpec("b", "t?", (1, 2, 8, 8), 0.2)),
    )
    before = [
        node("Greater", ["u", "one"], ["s?"]),
        node("Cast", ["s?"], ["s"], to=TensorProto.FLOAT),
        node("Greater", ["u", "half"], ["t?"]),
        node("Cast", ["t?"], ["t"], to=TensorProto.FLOAT),
    ]
    numbers = {"one": np.float32(1), "half": np.float32(0.5), **constants}
    return graphs.build("images", spec, [*before, made], numbers)


CASES: dict[str, tuple[NodeProto, tuple[int, ...], dict[str, np.ndarray], Sparsity | None]] = {
    "max pool": (
        node("MaxPool", ["s"], ["z"], kernel_shape=[2, 2], strides=[2, 2]),
        (1, 2, 4, 4), {}, Sparsity("a", 1 - 0.9**4, True),
    ),
    "max pool of events": (
        node("MaxPool", ["x"], ["z"], kernel_shape=[2, 2], strides=[2, 2]),
        (1, 2, 4, 4), {}, Sparsity("x", 1 - 0.5**4, False),
    ),
    "average pool": (
        node("AveragePool", ["s"], ["z"], kernel_shape=[2, 1], strides=[2, 1]),
        (1, 2, 4, 8), {}, Sparsity("a", 1 - 0.9**2, False),
    ),
    "concatenation": (
        node("Concat", ["s", "t"], ["z"], axis=1), (1, 4, 8, 8), {}, Sparsity("a and b", 0.15, True),
    ),
    "concatenation with numbers": (node("Concat", ["s", "u"], ["z"], axis=1), (1, 4, 8, 8), {}, None),
    "sum of two": (node("Add", ["s", "t"], ["z"]), (1, 2, 8, 8), {}, Sparsity("a and b", 1 - 0.9 * 0.8, False)),
    "one of a view": (node("Gather", ["s", "first"], ["z"], axis=0), (2, 8, 8), {"first": np.array(0)},
                      Sparsity("a", 0.1, True)),
    "picked elements": (node("GatherElements", ["s", "places"], ["z"], axis=3), (1, 2, 8, 3),
                        {"places": np.zeros((1, 2, 8, 3), np.int64)}, Sparsity("a", 0.1, True)),
    "largest of an axis": (node("ReduceMax", ["s", "axes"], ["z"], keepdims=0), (1, 2, 8), {"axes": np.array([3])},
                           Sparsity("a", 1 - 0.9**8, True)),
    "sum of an axis": (node("ReduceSum", ["s", "axes"], ["z"], keepdims=1), (1, 1, 8, 8), {"axes": np.array([1])},
                       Sparsity("a", 1 - 0.9**2, False)),
    "mean of an axis": (node("ReduceMean", ["s", "axes"], ["z"], keepdims=0), (1, 8, 8), {"axes": np.array([1])},
                        Sparsity("a", 1 - 0.9**2, False)),
    "or": (node("Max", ["s", "t"], ["z"]), (1, 2, 8, 8), {}, Sparsity("a and b", 1 - 0.9 * 0.8, True)),
    "sum with numbers": (node("Add", ["s", "u"], ["z"]), (1, 2, 8, 8), {}, None),
    "zeros around": (
        node("Pad", ["s", "pads"], ["z"]), (1, 2, 10, 8), {"pads": np.array([0, 0, 1, 0, 0, 0, 1, 0])},
        Sparsity("a", 0.1 * 0.8, True),
    ),
    "ones around": (
        node("Pad", ["s", "pads", "one"], ["z"]), (1, 2, 10, 8), {"pads": np.array([0, 0, 1, 0, 0, 0, 1, 0])}, None,
    ),
    "edges around": (
        node("Pad", ["s", "pads"], ["z"], mode="edge"), (1, 2, 10, 8), {"pads": np.array([0, 0, 1, 0, 0, 0, 1, 0])},
        Sparsity("a", 0.1, True),
    ),
    "zeros beside": (node("Concat", ["s", "none"], ["z"], axis=1), (1, 4, 8, 8), {"none": np.zeros((1, 2, 8, 8), "f")},
                     Sparsity("a", 0.05, True)),
    "written into zeros": (node("ScatterElements", ["none", "places", "s"], ["z"], axis=1), (1, 4, 8, 8),
                           {"none": np.zeros((1, 4, 8, 8), "f"), "places": np.ones((1, 2, 8, 8), np.int64)},
                           Sparsity("a", 0.05, True)),
    "added to what is there": (node("ScatterElements", ["none", "places", "s"], ["z"], axis=1, reduction="add"),
                               (1, 4, 8, 8), {"none": np.zeros((1, 4, 8, 8), "f"),
                                              "places": np.ones((1, 2, 8, 8), np.int64)}, Sparsity("a", 0.05, False)),
    "repeated": (node("Tile", ["s", "times"], ["z"]), (1, 2, 16, 8), {"times": np.array([1, 1, 2, 1])},
                 Sparsity("a", 0.1, True)),
    "space to depth": (node("SpaceToDepth", ["s"], ["z"], blocksize=2), (1, 8, 4, 4), {}, Sparsity("a", 0.1, True)),
    "slices by index": (node("GatherND", ["s", "places"], ["z"]), (1, 8, 8), {"places": np.array([[0, 1]])},
                        Sparsity("a", 0.1, True)),
    "triangle": (node("Trilu", ["s"], ["z"]), (1, 2, 8, 8), {}, Sparsity("a", 0.1, True)),
    "nearest neighbours": (node("Resize", ["s", "", "scales"], ["z"]), (1, 2, 16, 16),
                           {"scales": np.array([1, 1, 2, 2], "f")}, Sparsity("a", 0.1, True)),
    "linear neighbours": (node("Resize", ["s", "", "scales"], ["z"], mode="linear"), (1, 2, 16, 16),
                          {"scales": np.array([1, 1, 2, 2], "f")}, Sparsity("a", 1 - 0.9**4, False)),
    "whole images": (node("GlobalMaxPool", ["s"], ["z"]), (1, 2, 1, 1), {}, Sparsity("a", 1 - 0.9**64, True)),
    "sum of windows": (node("Conv", ["s", "ones"], ["z"], group=2, strides=[2, 2]), (1, 2, 4, 4),
                       {"ones": np.ones((2, 1, 2, 2), "f")}, Sparsity("a", 1 - 0.9**4, False)),
    "sum of all channels": (node("Conv", ["s", "ones"], ["z"]), (1, 3, 6, 6),
                            {"ones": np.ones((3, 2, 3, 3), "f")}, None),
    "sum with a bias": (node("Conv", ["s", "ones", "bias"], ["z"], group=2), (1, 2, 7, 7),
                        {"ones": np.ones((2, 1, 2, 2), "f"), "bias": np.ones(2, "f")}, None),
    "permuted by a matrix": (node("MatMul", ["s", "order"], ["z"]), (1, 2, 8, 8), {"order": np.eye(8, dtype="f")[::-1]},
                             Sparsity("a", 0.1, False)),
}  # fmt: skip


@pytest.mark.parametrize(
    ("made", "exact"),
    [
        (node("Add", ["s", "t"], ["z"]), True),
        (node("Mul", ["s", "four"], ["z"]), True),
        (node("Mul", ["s", "three"], ["z"]), False),
        (node("Mul", ["s", "half"], ["z"]), False),
        (node("Add", ["x", "s"], ["z"]), False),
    ],
    ids=["sum of two", "four", "three", "half", "an input"],
)
def test_products_with_spikes_or_twice_as_much_are_exact(made: NodeProto, exact: bool) -> None:
    """Where each element is 0 or a power of two; three needs more bits, half loses some, an input may be anything."""
    constants = {"four": np.float32(4), "three": np.float32(3), "half": np.float32(0.5)}
    graph = _graph(made, (1, 2, 8, 8), constants)
    assert find_sparsity(graph.model, graph.spec)["z"].exact is exact


@pytest.mark.parametrize("name", CASES)
def test_what_an_operator_makes_of_spikes(name: str) -> None:
    """Its rate as if elements fired independently, and whether it is still exactly 0 or 1."""
    made, shape, constants, expected = CASES[name]
    graph = _graph(made, shape, constants)
    found = find_sparsity(graph.model, graph.spec).get("z")
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert (found.source, found.binary) == (expected.source, expected.binary)
        assert found.rate == pytest.approx(expected.rate)
