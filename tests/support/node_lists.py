"""Many calls of operators as one step without state, compared with ONNX Runtime in one go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from astroedge.runtimes import load
from astroedge.runtimes.checking.reference import ReferenceSession
from astroedge.step.graph import StepGraph
from astroedge.step.onnx_session import open_session
from astroedge.step.spec import StepSpec, TensorSpec
from tests.support.builds import build

Arrays = Mapping[str, NDArray[Any]]


def model_of_nodes(
    nodes: Sequence[onnx.NodeProto], inputs: Arrays, constants: Arrays, outputs: Sequence[str], opset: int
) -> onnx.ModelProto:
    """The nodes as a model whose outputs have no types yet."""
    stored = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    declared = [onnx.ValueInfoProto(name=name) for name in outputs]
    graph = helper.make_graph(list(nodes), "nodes", [_typed(*item) for item in inputs.items()], declared, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def step_of_nodes(
    nodes: Sequence[onnx.NodeProto], inputs: Arrays, constants: Arrays, outputs: Arrays, opset: int = 18
) -> StepGraph:
    """The nodes as a step without state; inputs and outputs have the types of one tick's arrays."""
    model = model_of_nodes(nodes, inputs, constants, list(outputs), opset)
    for declared, item in zip(model.graph.output, outputs.items(), strict=True):
        declared.CopyFrom(_typed(*item))
    spec = StepSpec(inputs=_specs(inputs), outputs=_specs(outputs), states=())
    return StepGraph(model, spec)


def compare(
    nodes: Sequence[onnx.NodeProto], inputs: Arrays, constants: Arrays, opset: int = 18, tolerance: float = 2e-6
) -> dict[str, NDArray[Any]]:
    """Assert that the outputs are ONNX Runtime's within `tolerance` of the largest value; returns what was given.

    Outputs are the results whose names start with "y".
    """
    results = [name for node in nodes for name in node.output if name.startswith("y")]
    runtime = open_session(model_of_nodes(nodes, inputs, constants, results, opset))
    outputs = dict(zip(results, runtime.run(results, dict(inputs)), strict=True))
    graph = step_of_nodes(nodes, inputs, constants, outputs, opset)
    ticks = {name: array[None] for name, array in inputs.items()}
    expected = ReferenceSession(graph).run(**ticks)
    with load(build(graph)) as session:
        given = session.run(**ticks)
    for name, array in expected.items():
        finite = np.abs(array[np.isfinite(array)]) if array.dtype.kind == "f" else np.zeros(1)
        atol = tolerance * max(1, finite.max(initial=0)) if array.dtype.kind == "f" else 0
        assert given[name].dtype == array.dtype, name
        np.testing.assert_allclose(given[name], array, rtol=0, atol=atol, err_msg=name)
    return dict(given)


def _typed(name: str, array: NDArray[Any]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def _specs(arrays: Arrays) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, array.shape, str(array.dtype)) for name, array in arrays.items())
