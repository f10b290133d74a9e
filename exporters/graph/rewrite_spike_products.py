"""Products of a computed matrix and spikes as `MatMul(W, z)`, whatever they were traced as.

`(W * z[:, None]).sum(-1)` is traced as a sum, in which no compiler sees a product, and `einsum("bij,bj->bi", W, z)` of
one stream as z by W transposed, for which all of W is moved at every tick. As W z a product reads W where z is active.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from astroedge.exporters.shared.labels import unique
from astroedge.step.graph_index import GraphIndex, ValueTypes, attributes, live_nodes, replace_items

VIEWS = ("Identity", "Reshape", "Unsqueeze", "Squeeze", "Flatten")
Shape = tuple[int, ...]


def rewrite_spike_products(graph: onnx.GraphProto, types: ValueTypes) -> None:
    """Write such products of a computed float32 matrix and spikes as MatMul, in place; `types` are the graph's.

    Spikes are Booleans made numbers. The order of additions is not defined in any of the forms.
    """
    rewriter = _Rewriter(graph, types)
    nodes = [made for node in graph.node for made in rewriter.rewritten(node)]
    if len(nodes) == len(graph.node):
        return
    replace_items(graph.node, nodes)
    replace_items(graph.node, live_nodes(graph, [value.name for value in graph.output]))


class _Rewriter:
    """Looks at one node after the other."""

    def __init__(self, graph: onnx.GraphProto, types: ValueTypes) -> None:
        self.graph, self.types = graph, types
        self.index = GraphIndex(graph)
        self.taken = set(self.index.names)

    def rewritten(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """The nodes in the place of one: itself, or the product that it is."""
        found = self._summed(node) or self._by_transposed(node)
        result = self.types.shapes.get(node.output[0]) if found is not None else None
        if found is None or result is None:
            return [node]
        matrix, vector, shape = found
        nodes: list[onnx.NodeProto] = []
        product = self._name(node.output[0])
        column = self._reshape(nodes, vector, (*shape[:-2], shape[-1], 1), self._name(node.output[0]))
        turned = matrix
        if self.types.shapes[matrix] != shape:
            turned = self._reshape(nodes, matrix, shape, self._name(node.output[0]))
        nodes.append(helper.make_node("MatMul", [turned, column], [product], name=node.name))
        self._reshape(nodes, product, result, node.output[0])
        return nodes

    def _summed(self, node: onnx.NodeProto) -> tuple[str, str, Shape] | None:
        """The matrix, the vector and the matrix's shape of a sum of `W * z` over the last axis."""
        product = self.index.makers.get(node.input[0]) if node.op_type == "ReduceSum" and len(node.input) > 1 else None
        axes = self.index.stored.get(node.input[1]) if product is not None else None
        if product is None or product.op_type != "Mul" or axes is None:
            return None
        shape = self.types.shapes.get(product.output[0], ())
        if np.ravel(numpy_helper.to_array(axes)).tolist() not in ([-1], [len(shape) - 1]):
            return None
        if len(shape) < 2 or shape[-2] == 1:
            return None
        for matrix, vector in (product.input, reversed(product.input)):
            read = self.types.shapes.get(vector, ())
            padded = (*(1 for _ in shape[len(read) :]), *read)
            rows = (*shape[:-2], 1, *shape[-1:])
            if self._is_matrix(matrix, shape) and padded == rows and self._is_spikes(vector):
                return matrix, vector, shape
        return None

    def _by_transposed(self, node: onnx.NodeProto) -> tuple[str, str, Shape] | None:
        """The same of a product of a vector by a matrix whose last two axes of several places were exchanged."""
        if node.op_type != "MatMul" or not self._is_spikes(node.input[0]):
            return None
        vector, right = node.input
        turned = right
        while (maker := self.index.makers.get(turned)) is not None and maker.op_type in VIEWS:
            turned = maker.input[0]
        if maker is None or maker.op_type != "Transpose":
            return None
        before = self.types.shapes.get(maker.input[0], ())
        order = [axis for axis in attributes(maker).get("perm", range(len(before))[::-1]) if before[axis] > 1]
        kept = sorted(order)
        shape = _long(before)
        exchanged = (*shape[:-2], *shape[:-3:-1])
        right_shape, left_shape = (self.types.shapes.get(name, ()) for name in (right, vector))
        fits = order == [*kept[:-2], *kept[:-3:-1]] and _long(right_shape) == exchanged
        row = len(left_shape) == 1 or left_shape[-2] == 1
        if not fits or not row or not self._is_matrix(maker.input[0], before):
            return None
        return (maker.input[0], vector, shape) if _long(left_shape) == (*shape[:-2], shape[-1]) else None

    def _is_matrix(self, name: str, shape: Sequence[int]) -> bool:
        """Whether a value is computed, of float32, of this shape and has several rows and columns."""
        known = self.types.shapes.get(name) == shape and self.types.elements.get(name) == TensorProto.FLOAT
        return known and name not in self.index.stored and len(_long(shape)) > 1 and shape[-1] > 1

    def _is_spikes(self, name: str) -> bool:
        """Whether a value is a Boolean made a number, in whatever shape."""
        while (maker := self.index.makers.get(name)) is not None and maker.op_type in VIEWS:
            name = maker.input[0]
        return (
            maker is not None
            and maker.op_type == "Cast"
            and self.types.elements.get(maker.input[0]) == TensorProto.BOOL
        )

    def _name(self, stem: str) -> str:
        name = unique(f"{stem}.product", self.taken)
        self.taken.add(name)
        return name

    def _reshape(self, nodes: list[onnx.NodeProto], value: str, shape: Sequence[int], result: str) -> str:
        """Append what gives a value a shape, named `result`."""
        size = self._name(f"{result}.shape")
        self.graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), size))
        nodes.append(helper.make_node("Reshape", [value, size], [result]))
        return result


def _long(shape: Sequence[int]) -> Shape:
    """The axes of several places."""
    return tuple(extent for extent in shape if extent > 1)
