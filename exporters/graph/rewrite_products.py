"""Products of a weight matrix and a vector as such: PyTorch's exporter writes `W @ z` as a sum of W * z.

A compiled matrix product reads spikes by their active elements; a sum of products would read them all.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from astroedge.exporters.graph.rewrite_spike_products import rewrite_spike_products
from astroedge.step.graph_index import GraphIndex, attributes, infer_types, replace_items
from astroedge.step.tensor_data import array_of


def rewrite_products(model: onnx.ModelProto) -> None:
    """Write the sum over the last axis of `W * z` as `MatMul(W, z)`, in place: W stored [m, n], z computed [n].

    Then do the same where W is computed and z spikes, of any number of streams.

    The order of additions is not defined in either form; the sums agree within rounding.
    """
    graph = model.graph
    index, types = GraphIndex(graph), infer_types(model)
    leaving = {value.name for value in graph.output}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        product = index.makers.get(node.input[0]) if _sums_rows(node, index.stored) else None
        operands = [] if product is None or product.op_type != "Mul" else list(product.input)
        weights = [name for name in operands if name in index.stored and types.ranks.get(name) == 2]
        vectors = [name for name in operands if name not in index.stored and types.ranks.get(name) == 1]
        apart = len(index.readers[node.input[0]]) == 1 and node.input[0] not in leaving if weights else False
        if apart and vectors and types.shapes[weights[0]][1:] == types.shapes.get(vectors[0]):
            operands = [weights[0], vectors[0]]
            nodes = [item for item in nodes if item.output[0] != node.input[0]]
            nodes.append(helper.make_node("MatMul", operands, list(node.output), name=node.name))
        else:
            nodes.append(node)
    replace_items(graph.node, nodes)
    rewrite_spike_products(graph, types)


def _sums_rows(node: onnx.NodeProto, stored: dict[str, onnx.TensorProto]) -> bool:
    """Whether a node adds the last of two axes up and leaves it out."""
    if node.op_type != "ReduceSum" or len(node.input) < 2 or node.input[1] not in stored:
        return False
    axes = np.ravel(array_of(stored[node.input[1]])).tolist()
    return axes in ([1], [-1]) and not attributes(node).get("keepdims", 1)
