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

from astroedge.step.graph_index import GraphIndex, attributes, infer_types, replace_items

NONE = b"none"


def replace_constant_scatters(model: onnx.ModelProto) -> None:
    """Rewrite the graph of `model` in place; values keep their names."""
    constants = GraphIndex(model.graph).initialisers
    found = [node for node in model.graph.node if _rows(node, constants) is not None]
    if not found:
        return
    shapes = infer_types(model).shapes
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        rows, shape = _rows(node, constants), shapes.get(node.input[0]) if node.input else None
        nodes += [node] if rows is None or not shape else _choice(model.graph, node, rows, shape)
    replace_items(model.graph.node, nodes)


def _rows(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> np.ndarray | None:
    """The rows that a node writes, in order, if they are known."""
    if node.op_type != "ScatterND" or attributes(node).get("reduction", NONE) != NONE or node.input[1] not in constants:
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
