"""Many calls of ONNX operators in one step, so that one compilation tries all their forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

from astroedge.runtimes import load
from astroedge.runtimes.checking.reference import ReferenceSession
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StepSpec, TensorSpec
from tests.support.builds import build

Array = NDArray[Any]


def node(kind: str, *inputs: str | Array, outputs: int = 1, **attributes: Any) -> tuple[Any, ...]:
    """One call: names of fed arrays, and arrays that are constants."""
    return kind, inputs, outputs, attributes


def step_of_nodes(calls: Sequence[tuple[Any, ...]], feeds: Mapping[str, Array], opset: int = 21) -> StepGraph:
    """The step without state that makes each call on the fed arrays; output `y3_1` is the second of call 3."""
    nodes, constants, outputs = [], [], []
    for number, (kind, inputs, count, attributes) in enumerate(calls):
        names = [item if isinstance(item, str) else f"c{number}_{place}" for place, item in enumerate(inputs)]
        constants += [
            numpy_helper.from_array(item, name)
            for item, name in zip(inputs, names, strict=True)
            if not isinstance(item, str)
        ]
        made = [f"y{number}_{place}" for place in range(count)]
        nodes.append(helper.make_node(kind, names, made, name=f"call{number}/{made[0]}", **attributes))
        outputs += made
    fed = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in feeds.items()
    ]
    graph = helper.make_graph(nodes, "forms", fed, [onnx.ValueInfoProto(name=name) for name in outputs], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    made = shape_inference.infer_shapes(model, data_prop=True).graph.output
    for value, inferred in zip(model.graph.output, made, strict=True):
        # ONNX infers nothing of some operators that are functions; these give what they take.
        value.CopyFrom(inferred if inferred.type.tensor_type.elem_type else _like(fed[0], inferred.name))
    spec = StepSpec(
        inputs=tuple(TensorSpec(name, array.shape, str(array.dtype)) for name, array in feeds.items()),
        outputs=tuple(_spec(value) for value in model.graph.output),
        states=(),
    )
    return StepGraph(model, spec)


def given_and_expected(graph: StepGraph, feeds: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    """What the compiled step gives for one tick, and what ONNX Runtime does."""
    expected = ReferenceSession(graph).step(**feeds)
    with load(build(graph)) as session:
        return session.step(**feeds), expected


def _like(given: onnx.ValueInfoProto, name: str) -> onnx.ValueInfoProto:
    return onnx.ValueInfoProto(name=name, type=given.type)


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    kind = value.type.tensor_type
    shape = tuple(dim.dim_value for dim in kind.shape.dim)
    return TensorSpec(value.name, shape, str(np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type))))
