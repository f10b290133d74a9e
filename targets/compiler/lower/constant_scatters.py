"""Write a ScatterND to rows known beforehand as a choice for each row: `queue[:-1] = queue[1:]`, circular padding.

TVM lowers a scatter to a loop of its own, which nothing schedules. A choice between the row that was there and the new
one, gathered from its known place, is an element-wise operator like any other.

Requires: nothing.
Ensures: every ScatterND without reduction whose indices are a constant list of rows of a tensor of fixed shape is gone.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

NONE = b"none"


def replace_constant_scatters(model: onnx.ModelProto) -> None:
    """Rewrite the graph of `model` in place; values keep their names."""
    constants = {item.name: item for item in model.graph.initializer}
    found = [node for node in model.graph.node if _rows(node, constants) is not None]
    if not found:
        return
    shapes = _shapes(model)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        rows, shape = _rows(node, constants), shapes.get(node.input[0]) if node.input else None
        nodes += [node] if rows is None or not shape else _choice(model.graph, node, rows, shape)
    kept = [_copy(node) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _rows(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> np.ndarray | None:
    """The rows that a node writes, in order, if they are known."""
    reductions = [item.s for item in node.attribute if item.name == "reduction"]
    if node.op_type != "ScatterND" or reductions not in ([], [NONE]) or node.input[1] not in constants:
        return None
    indices = numpy_helper.to_array(constants[node.input[1]])
    return indices[:, 0] if indices.ndim == 2 and indices.shape[1] == 1 else None


def _choice(
    graph: onnx.GraphProto, node: onnx.NodeProto, rows: np.ndarray, shape: tuple[int, ...]
) -> list[onnx.NodeProto]:
    """The new rows gathered to their places, and the old ones where nothing is written."""
    sources = np.full(shape[0], -1)
    sources[rows] = np.arange(len(rows))
    written = (sources >= 0).reshape(-1, *(1 for _ in shape[1:]))
    names = {part: f"{node.output[0]}.{part}" for part in ("sources", "written", "moved")}
    graph.initializer.append(numpy_helper.from_array(np.maximum(sources, 0), names["sources"]))
    graph.initializer.append(numpy_helper.from_array(written, names["written"]))
    return [
        helper.make_node("Gather", [node.input[2], names["sources"]], [names["moved"]], axis=0),
        helper.make_node("Where", [names["written"], names["moved"], node.input[0]], list(node.output)),
    ]


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """The shapes that are fixed."""
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    found: dict[str, tuple[int, ...]] = {item.name: tuple(item.dims) for item in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            found[value.name] = tuple(dim.dim_value for dim in dims)
    return found


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy
