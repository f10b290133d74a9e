"""On infinities, huge and denormal numbers, ties and equal inputs a compiled step gives what the graph means."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from onnx import helper

from astroedge.runtimes import load
from astroedge.runtimes.checking.reference import ObservedReference
from astroedge.runtimes.checking.special_inputs import special_inputs
from astroedge.runtimes.checking.third_opinion import ThirdOpinion
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StepSpec, TensorSpec
from tests.support import graphs
from tests.support.builds import build

pytestmark = pytest.mark.compiles

SHAPE = (1, 2, 6, 6)
EACH = (
    *("Abs", "Elu", "Erf", "Exp", "HardSigmoid", "LeakyRelu", "Log", "Relu", "Sigmoid", "Sign"),
    *("Softmax", "Softplus", "Sqrt", "Tanh", "ThresholdedRelu"),
)
AXES = {"axes": np.array([2, 3])}
# Operator, further inputs, attributes, the result's shape.
OTHERS = {
    "MaxPool": ((), {"kernel_shape": [2, 2], "strides": [2, 2]}, (1, 2, 3, 3)),
    "GlobalMaxPool": ((), {}, (1, 2, 1, 1)),
    "ReduceMax": (("axes",), {"keepdims": 0}, (1, 2)),
    "ReduceMin": (("axes",), {"keepdims": 0}, (1, 2)),
    "ReduceLogSumExp": (("axes",), {"keepdims": 0}, (1, 2)),
    "ArgMax": ((), {"axis": 3, "keepdims": 0}, (1, 2, 6)),
    "ArgMin": ((), {"axis": 1, "keepdims": 0}, (1, 6, 6)),
}


@pytest.fixture(scope="module")
def graph() -> StepGraph:
    """Every operator alone on the input x, its result called as it is."""
    nodes = [helper.make_node(name, ["x"], [name]) for name in EACH]
    nodes += [helper.make_node(name, ["x", *more], [name], **given) for name, (more, given, _) in OTHERS.items()]
    outputs = [TensorSpec(name, SHAPE, "float32") for name in EACH]
    outputs += [
        TensorSpec(name, shape, "int64" if name.startswith("Arg") else "float32")
        for name, (_, _, shape) in OTHERS.items()
    ]
    spec = StepSpec((TensorSpec("x", SHAPE, "float32", span=3.0),), tuple(outputs), ())
    return graphs.build("extremes", spec, nodes, AXES)


@pytest.fixture(scope="module")
def session(graph: StepGraph) -> Iterator[CompiledSession]:
    """The compiled step."""
    with load(build(graph, probes=True)) as running:
        yield running


def test_what_is_extreme_is_as_it_is_in_float64(graph: StepGraph, session: CompiledSession) -> None:
    """Indices exactly, numbers to rounding, infinities where they are, NaN where it is defined to be and nowhere else.

    ONNX Runtime is not asked: its largest of nothing but −∞ is the lowest finite number.
    """
    third, ticks = ThirdOpinion(ObservedReference(graph)), special_inputs(session.manifest.layout.inputs, graph)
    assert len(ticks) == 10
    for tick in ticks:
        opinion = third.ask(tick.inputs, {}, None)
        assert opinion is not None, third.failure
        for name, value in session.step(**tick.inputs).items():
            expected = opinion.values(name, np.arange(value.size), value.dtype)[0]
            message = f"{name} on {tick.text}"
            if value.dtype.kind == "i":
                np.testing.assert_array_equal(value.ravel(), expected, err_msg=message)
            else:
                np.testing.assert_allclose(value.ravel(), expected, rtol=1e-5, atol=1e-6, err_msg=message)
