"""Spikes are found in tensors of which they are only a part: packed states, delay lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper

from astroedge.step.find_sparsity import find_sparsity
from astroedge.step.sparsity import Sparsity
from astroedge.step.spec import SpikeSpec, StateSpec, StepSpec, TensorSpec
from tests.support import graphs

node = helper.make_node
STORED = {
    "one": np.float32(1), "decay": np.float32(0.9), "0": np.array([0]), "1": np.array([1]), "2": np.array([2]),
    "3": np.array([3]), "second": np.array(1), "apart": np.array([2, 1, 8]), "back": np.array([1, 0]),
    "sizes": np.array([1, 1]), "half": np.float32(0.5),
}  # fmt: skip


def _found(nodes: Sequence[NodeProto], shape: tuple[int, ...], result: tuple[int, ...]) -> Sparsity | None:
    """What is known of y, where `nodes` make it and the next state `p` from the state, v and spikes z, both (1, 8)."""
    spec = StepSpec(
        inputs=(TensorSpec("v", (1, 8), "float32"),),
        outputs=(TensorSpec("y", result, "float32"),),
        states=(StateSpec("p", shape, "float32"),),
        spikes=(SpikeSpec("spike", "fired", (1, 8), 0.1),),
    )
    before = [node("Greater", ["v", "one"], ["fired"]), node("Cast", ["fired"], ["z"], to=TensorProto.FLOAT)]
    graph = graphs.build("parts", spec, [*before, *nodes], STORED)
    return find_sparsity(graph.model, graph.spec).get("y")


STACK = node("Concat", ["v", "z"], ["next.p"], axis=0)
SECOND = node("Slice", ["state.p", "1", "2", "0"], ["y"])


@pytest.mark.parametrize(
    ("nodes", "shape", "result"),
    [
        ([STACK, SECOND], (2, 8), (1, 8)),
        ([STACK, node("Gather", ["state.p", "second"], ["y"], axis=0)], (2, 8), (8,)),
        ([STACK, node("Split", ["state.p", "sizes"], ["other", "y"], axis=0)], (2, 8), (1, 8)),
        ([STACK, node("Gather", ["state.p", "back"], ["b"]), node("Slice", ["b", "0", "1", "0"], ["y"])],
         (2, 8), (1, 8)),
        ([node("Concat", ["v", "z"], ["c"], axis=0), node("Reshape", ["c", "apart"], ["next.p"]),
          node("Gather", ["state.p", "second"], ["y"])], (2, 1, 8), (1, 8)),
        ([node("Concat", ["v", "z"], ["c"], axis=0), node("Transpose", ["c"], ["next.p"]),
          node("Slice", ["state.p", "1", "2", "1"], ["y"])], (8, 2), (8, 1)),
        ([node("Concat", ["v", "z"], ["c"], axis=0), node("Mul", ["c", "decay"], ["next.p"]), SECOND], (2, 8), (1, 8)),
        ([node("Slice", ["state.p", "0", "2", "0"], ["old"]), node("Concat", ["z", "old"], ["next.p"], axis=0),
          node("Slice", ["state.p", "2", "3", "0"], ["y"])], (3, 8), (1, 8)),
    ],
    ids=["slice", "gather", "split", "exchanged", "stacked", "transposed", "decayed", "delay line"],
)  # fmt: skip
def test_spikes_are_known_where_they_are_taken_out_again(
    nodes: list[NodeProto], shape: tuple[int, ...], result: tuple[int, ...]
) -> None:
    """The part of a state that holds last tick's spikes is sparse, however it was put in and is taken out."""
    found = _found(nodes, shape, result)
    assert found is not None
    assert (found.source, found.rate, found.binary) == ("spike", pytest.approx(0.1), False)


@pytest.mark.parametrize(
    "nodes",
    [
        [STACK, node("Slice", ["state.p", "0", "1", "0"], ["y"])],
        [node("Concat", ["v", "z"], ["c"], axis=0), node("Add", ["c", "half"], ["next.p"]), SECOND],
        [node("Concat", ["v", "z"], ["c"], axis=0), node("Add", ["c", "state.p"], ["next.p"]), SECOND],
    ],
    ids=["the other part", "shifted", "accumulated"],
)
def test_other_parts_are_dense(nodes: list[NodeProto]) -> None:
    """Membranes, and spikes that something was added to, are not sparse."""
    assert _found(nodes, (2, 8), (1, 8)) is None
