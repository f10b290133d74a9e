"""What is known before the first tick: constants, and what ONNX Runtime makes of them, with the original's bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from astroedge.step.graph_index import GraphIndex, ValueTypes, attributes, declared_types, node_reads
from astroedge.step.onnx_session import open_session
from astroedge.step.operators import operator
from astroedge.step.tensor_data import array_of

SMALL_CONSTANT = 4096  # elements; a larger result is kept only if it is no larger than what it is made of
DEQUANTISING = "DequantizeLinear"  # kept: what it makes takes four times the room of what it is made of
Array = np.ndarray[Any, np.dtype[Any]]
DType = np.dtype[Any]
Constants = dict[str, Array]


class KnownValues:
    """The known values of a graph by name; `types` is what ONNX infers of the others."""

    def __init__(self, model: onnx.ModelProto, types: ValueTypes) -> None:
        """Begin with the initialisers of `model`."""
        self.types = types
        self.values: Constants = {name: array_of(item) for name, item in GraphIndex(model.graph).initialisers.items()}
        self._model = model

    def number(self, name: str) -> Array | None:
        """The value of that name, if it is known."""
        return self.values.get(name)

    def learn(self, node: onnx.NodeProto) -> bool:
        """Add what a node makes, if that is known and worth storing; whether it is."""
        made = self._value(node)
        self.values.update(made or {})
        return made is not None

    def elements(self, body: onnx.GraphProto) -> dict[str, int]:
        """The ONNX element type of each value that a sub-graph reads or makes, as far as ONNX infers it."""
        read = {name for node in body.node for name in node_reads(node)} & self.types.elements.keys()
        inputs = [
            helper.make_tensor_value_info(name, self.types.elements[name], self.types.shapes.get(name)) for name in read
        ]
        graph = helper.make_graph(body.node, "body", inputs, [], body.initializer)
        whole = helper.make_model(graph, opset_imports=self._model.opset_import, ir_version=self._model.ir_version)
        return declared_types(shape_inference.infer_shapes(whole).graph).elements

    def _value(self, node: onnx.NodeProto) -> Constants | None:
        shapes = self.types.shapes
        if node.op_type in ("Shape", "Size") and node.input[0] in shapes:
            return {node.output[0]: _extents(node, shapes[node.input[0]])}
        reads = node_reads(node)
        refused = operator(node.op_type).refused not in ("", "varying size")
        if refused or node.op_type == DEQUANTISING or not reads <= self.values.keys():
            return None
        sizes = [int(np.prod(shapes[name])) for name in node.output if name in shapes]
        largest = max(SMALL_CONSTANT, sum(self.values[name].size for name in reads))
        if node.op_type != "Constant" and sum(sizes) > largest:
            return None
        inputs = {name: self.values[name] for name in reads}
        if node.op_type == "Range" and all(value.size == 1 for value in inputs.values()):
            # Some exporters write arrays of one, where ONNX wants numbers.
            inputs = {name: value.reshape(()) for name, value in inputs.items()}
        return _computed(self._model, node, inputs)


def _extents(node: onnx.NodeProto, shape: tuple[int, ...]) -> Array:
    """What Shape or Size gives."""
    if node.op_type == "Size":
        return np.array(np.prod(shape, dtype=np.int64), np.int64)
    limits = attributes(node)
    return np.array(shape[limits.get("start", 0) : limits.get("end", len(shape))], np.int64)


def _computed(model: onnx.ModelProto, node: onnx.NodeProto, inputs: Mapping[str, Array]) -> Constants | None:
    """A node's outputs in ONNX Runtime; None where that lacks the operator."""
    names = [name for name in node.output if name]
    graph = helper.make_graph(
        [node],
        "constant",
        [],
        [onnx.ValueInfoProto(name=name) for name in names],
        [
            numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
            for name, value in inputs.items()
        ],
    )
    single = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    try:
        made = open_session(single).run(names, {})
    except (failures.NotImplemented, failures.InvalidGraph, failures.Fail, failures.RuntimeException):
        return None
    if not all(isinstance(value, np.ndarray) for value in made):
        return None  # a sequence
    return dict(zip(names, made, strict=True))
