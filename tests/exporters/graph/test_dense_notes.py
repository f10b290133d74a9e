"""Spikes whose zeros no kernel skips are told of; a dense kernel that is the cheaper one is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper

from astroedge.exporters.graph.dense_notes import dense_notes
from astroedge.step.graph import StepGraph
from astroedge.step.spec import SpikeSpec, StepSpec, TensorSpec
from tests.support import graphs

node = helper.make_node
SHAPE = (1, 4, 16, 16)
RNG = np.random.default_rng(0)


def _graph(nodes: list[NodeProto], shape: tuple[int, ...], stored: dict[str, Any], rate: float = 0.05) -> StepGraph:
    """`nodes` make y of `shape` from spikes s, reshaped to matrices m and t, and from numbers u."""
    spec = StepSpec(
        inputs=(TensorSpec("u", SHAPE, "float32"),),
        outputs=(TensorSpec("y", shape, "float32"),),
        states=(),
        spikes=(SpikeSpec("lif.spike", "s?", SHAPE, rate),),
    )
    before = [
        node("Greater", ["u", "one"], ["s?"]),
        node("Cast", ["s?"], ["s"], to=TensorProto.FLOAT),
        node("Transpose", ["s"], ["t"], perm=[0, 1, 3, 2]),
    ]
    return graphs.build("notes", spec, [*before, *nodes], {"one": np.float32(1), **stored})


def _weights(*shape: int) -> dict[str, Any]:
    return {"W": RNG.normal(size=shape).astype(np.float32)}


@pytest.mark.parametrize(
    ("graph", "form"),
    [
        (_graph([node("Transpose", ["u"], ["k"], perm=[1, 0, 2, 3]),
                 node("ConvTranspose", ["s", "k"], ["y"], name="up/y")], (1, 1, 31, 31), {}),
         "a transposed convolution whose weights the step computes"),
        (_graph([node("MatMul", ["s", "t"], ["y"], name="up/y")], SHAPE, {}), "a product of two computed matrices"),
        (_graph([node("MatMul", ["u", "s"], ["y"], name="up/y")], SHAPE, {}), "the right operand of a product"),
    ],
    ids=["transposed convolution", "two computed matrices", "right operand"],
)  # fmt: skip
def test_a_form_without_event_driven_kernel_is_noted(graph: StepGraph, form: str) -> None:
    """One line names the module that reads the spikes, the spike tensor with its rate, and the form."""
    (note,) = dense_notes(graph)
    assert note.startswith("Module 'up' reads 'lif.spike', of which 5.0% is not zero, in " + form)
    assert "\n" not in note


@pytest.mark.parametrize(
    "graph",
    [
        _graph([node("Conv", ["s", "W"], ["y"])], (1, 3, 14, 14), _weights(3, 4, 3, 3)),
        _graph([node("ConvTranspose", ["s", "W"], ["y"])], (1, 3, 18, 18), _weights(4, 3, 3, 3)),
        _graph([node("MatMul", ["s", "W"], ["y"])], (1, 4, 16, 5), _weights(16, 5)),
        _graph([node("MatMul", ["W", "s"], ["y"])], (1, 4, 5, 16), _weights(5, 16)),
        _graph(
            [
                node("Reshape", ["s", "long"], ["z"]),
                node("Reshape", ["u", "tall"], ["m"]),
                node("MatMul", ["m", "z"], ["y"]),
            ],
            (1, 16, 1),
            {"long": np.int64([1, 64, 1]), "tall": np.int64([1, 16, 64])},
        ),
        _graph([node("MatMul", ["s", "t"], ["y"])], SHAPE, {}, rate=0.4),
        _graph([node("MatMul", ["u", "u"], ["y"])], SHAPE, {}),
    ],
    ids=[
        "convolution",
        "transposed convolution",
        "matrix",
        "weights first",
        "matrix and vector",
        "fires often",
        "numbers",
    ],
)
def test_what_may_be_event_driven_or_reads_numbers_is_not_noted(graph: StepGraph) -> None:
    """No note where a kernel is chosen by its cost, where little could be saved, or where nothing is sparse."""
    assert list(dense_notes(graph)) == []
