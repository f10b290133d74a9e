"""Dropout that drops nothing, taken out of a graph: outside training, or at a ratio of 0."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from astroedge.exporters.from_onnx.fold_graph import inferred_shapes
from astroedge.step.graph_index import GraphIndex, replace_items
from astroedge.step.tensor_data import array_of


def drop_dropout(model: onnx.ModelProto) -> None:
    """Replace every such Dropout of `model` (operator set 12 and later), in place, by its operand and a mask of True.

    One that draws random numbers stays.
    """
    if not any(node.op_type == "Dropout" for node in model.graph.node):
        return
    stored, shapes = GraphIndex(model.graph).stored, inferred_shapes(model)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type != "Dropout" or _drops(node, stored):
            nodes.append(node)
            continue
        if node.output[0]:
            nodes.append(helper.make_node("Identity", node.input[:1], node.output[:1], name=node.name))
        if len(node.output) > 1 and node.output[1]:
            whole = np.ones(shapes[node.input[0]], np.bool_)
            value = numpy_helper.from_array(whole)
            nodes.append(helper.make_node("Constant", [], node.output[1:], value=value, name=node.name))
    replace_items(model.graph.node, nodes)


def _drops(node: onnx.NodeProto, stored: dict[str, onnx.TensorProto]) -> bool:
    """Whether random numbers decide: in training, as far as the graph says, at a ratio other than 0."""
    ratio, training = (*node.input[1:], "", "")[:2]
    return not (_is_zero(ratio, stored) or not training or _is_zero(training, stored))


def _is_zero(name: str, stored: dict[str, onnx.TensorProto]) -> bool:
    return name in stored and not array_of(stored[name]).any()
