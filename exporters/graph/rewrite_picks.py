"""Masked reads and writes as choices between whole tensors, so that no size depends on data.

`x[mask] = a` comes as a list of the places where a mask is True (NonZero), a list of values and a scatter; in a step
it is `where(mask, a, x)`. `x[mask].sum()` is the sum of `where(mask, x, 0)`. What lies between a masked read and its
end is computed for all elements, which gives equal bits where the mask is True and is not looked at elsewhere. Only a
sum over what is picked is made in another order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from astroedge.errors import GraphError
from astroedge.step.graph_index import GraphIndex, ValueTypes, attributes, infer_types, live_nodes, replace_items
from astroedge.step.node_builder import NodeBuilder
from astroedge.step.operators import operators
from astroedge.step.tensor_data import array_of

ELEMENTWISE = operators(lambda row: row.bound in ("addition", "product", "quotient", "preserving")) | {
    *("Cast", "Ceil", "Equal", "Erf", "Exp", "Floor", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Log"),
    *("Not", "Pow", "Reciprocal", "Round", "Sigmoid", "Sign", "Sqrt", "Tanh"),
}
COMBINE = {"add": "Add", "mul": "Mul", "min": "Min", "max": "Max"}


@dataclass(frozen=True)
class _Picked:
    """What a value would be for all elements of which it holds those at the True places of a mask."""

    mask: str
    whole: str


def rewrite_picks(model: onnx.ModelProto) -> None:
    """Write masked reads and writes as choices, and a Compress by a constant as a Gather, in place, where that fits.

    A TopK that need not be sorted is: any order will do, and then all runtimes have the same one.
    """
    graph = model.graph
    for node in graph.node:
        if node.op_type == "TopK":
            replace_items(node.attribute, [item for item in node.attribute if item.name != "sorted"])
    index = GraphIndex(graph)
    if not any(_starts_a_pick(node, index) for node in graph.node):
        return
    try:
        picks = _Picks(graph, infer_types(model))
    except GraphError:
        return  # what is no valid ONNX is refused later, by the operator or as a whole
    nodes = [item for node in graph.node for item in picks.rewritten(node)]
    if not picks.changed:
        return
    replace_items(graph.node, nodes)
    graph.initializer.extend(picks.constants)
    replace_items(graph.node, live_nodes(graph, [value.name for value in graph.output]))
    read = GraphIndex(graph).readers
    replace_items(graph.initializer, [tensor for tensor in graph.initializer if tensor.name in read])


def _starts_a_pick(node: onnx.NodeProto, index: GraphIndex) -> bool:
    if node.op_type == "Expand":
        maker = index.makers.get(node.input[1])
        return maker is not None and maker.op_type == "Max"
    return node.op_type == "NonZero" or (node.op_type == "Compress" and node.input[-1] in index.stored)


class _Picks:
    """Follows lists of places, and the values picked at them, through the nodes of a graph in order."""

    def __init__(self, graph: onnx.GraphProto, types: ValueTypes) -> None:
        index = GraphIndex(graph)
        self.types, self.makers = types, index.makers
        self.stored, self.taken = index.stored, {*index.names}
        self.constants: list[onnx.TensorProto] = []
        self.changed = False
        self.columns: dict[str, str] = {}  # what NonZero gives, and the mask it looked at
        self.places: dict[str, str] = {}  # the same with one row a place
        self.picked: dict[str, _Picked] = {}
        self.fills: dict[str, str] = {}  # a single element repeated as often as a mask is True

    def rewritten(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """The nodes in place of one; those that are no longer needed stay for now."""
        builder = NodeBuilder(node, self.taken)
        follow = getattr(self, f"_{node.op_type.lower()}", None)
        replaced = False
        if node.op_type in ELEMENTWISE:
            self._elementwise(node, builder)
        elif follow is not None:
            replaced = bool(follow(node, builder))
        self.constants += builder.constants
        self.changed |= replaced
        path = node.name.rpartition("/")[0]
        for item in builder.nodes:
            item.name = f"{path}/{item.output[0]}"
        return builder.nodes if replaced else [*builder.nodes, node]

    def _compress(self, node: onnx.NodeProto, builder: NodeBuilder) -> bool:
        condition, axis = self.stored.get(node.input[1]), attributes(node).get("axis")
        if condition is None:
            return False
        chosen = builder.constant(np.flatnonzero(array_of(condition)), np.int64)
        value = node.input[0]
        if axis is None:
            value = builder.op("Reshape", [value, builder.constant([-1], np.int64)])
        builder.op("Gather", [value, chosen], node.output[0], axis=axis or 0)
        return True

    def _nonzero(self, node: onnx.NodeProto, builder: NodeBuilder) -> None:
        mask = node.input[0]
        if mask in self.types.shapes:
            if self.types.elements.get(mask) != TensorProto.BOOL:
                shape = self.types.shapes[mask]
                mask = builder.op("Cast", [mask], to=TensorProto.BOOL)
                self.types.shapes[mask] = shape
            self.columns[node.output[0]] = mask

    def _transpose(self, node: onnx.NodeProto, builder: NodeBuilder) -> None:
        if node.input[0] in self.columns:
            self.places[node.output[0]] = self.columns[node.input[0]]

    def _gathernd(self, node: onnx.NodeProto, builder: NodeBuilder) -> None:
        mask = self.places.get(node.input[1])
        if mask is not None and self._fits(mask, node.input[0]) and not attributes(node).get("batch_dims", 0):
            self.picked[node.output[0]] = _Picked(mask, node.input[0])

    def _expand(self, node: onnx.NodeProto, builder: NodeBuilder) -> bool:
        source = node.input[0]
        if node.output[0] in self.types.shapes:
            return False
        if node.op_type == "Expand" and self._is_single(source) and self._least(node.input[1]):
            # As many as the largest index says, but at least so many: what reads them has a fixed size, which is this.
            builder.op("Expand", [source, self._least(node.input[1])], node.output[0])
            return True
        if source in self.picked:
            self.picked[node.output[0]] = self.picked[source]
        elif source in self.fills or self._is_single(source):
            self.fills[node.output[0]] = self.fills.get(source, source)
        return False

    _reshape = _expand

    def _scatternd(self, node: onnx.NodeProto, builder: NodeBuilder) -> bool:
        base, places, new = node.input
        mask = self.places.get(places)
        if mask is None or not self._fits(mask, base):
            return False
        picked = self.picked.get(new)
        if picked is not None and picked.mask == mask:
            whole = picked.whole
        elif new in self.fills or self._is_single(new):
            whole = self._scalar(builder, self.fills.get(new, new))
        else:
            return False
        reduction = attributes(node).get("reduction", b"none").decode()
        if reduction != "none":
            whole = builder.op(COMBINE[reduction], [base, whole])
        builder.op("Where", [self._condition(builder, mask, base), whole, base], node.output[0])
        return True

    def _elementwise(self, node: onnx.NodeProto, builder: NodeBuilder) -> None:
        """The same operator on the whole tensors, beside the one on what is picked."""
        sources = [self.picked.get(name) for name in node.input]
        masks = {source.mask for source in sources if source is not None}
        if len(masks) != 1:
            return
        operands = []
        for name, source in zip(node.input, sources, strict=True):
            if source is None and name and name not in self.fills and not self._is_single(name):
                return
            single = self.fills.get(name, name)
            operands.append(source.whole if source else self._scalar(builder, single) if single else "")
        whole = builder.op(node.op_type, operands, **attributes(node))
        first = next(source for source in sources if source is not None)
        self.types.shapes[whole] = self.types.shapes[first.whole]
        self.picked[node.output[0]] = _Picked(first.mask, whole)

    def _reducesum(self, node: onnx.NodeProto, builder: NodeBuilder) -> bool:
        """A sum, or with `_reducemean` a mean, over all that is picked."""
        picked, options = self.picked.get(node.input[0]), attributes(node)
        if picked is None or self.types.shapes[picked.mask] != self.types.shapes[picked.whole]:
            return False
        axes = options.get("axes")
        if len(node.input) > 1 and node.input[1]:
            stored = self.stored.get(node.input[1])
            axes = None if stored is None else array_of(stored).tolist()
            if axes is None:
                return False
        if axes not in (None, [], [0]) or (not axes and options.get("noop_with_empty_axes", 0)):
            return False
        kind = self.types.elements.get(node.output[0], TensorProto.FLOAT)
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        chosen = builder.op("Where", [picked.mask, picked.whole, builder.constant(0, dtype)])
        total = builder.op("ReduceSum", [chosen], keepdims=0)
        if node.op_type == "ReduceMean":
            count = builder.op("ReduceSum", [builder.op("Cast", [picked.mask], to=kind)], keepdims=0)
            total = builder.op("Div", [total, count])
        shape = [1] if options.get("keepdims", 1) else []
        builder.op("Reshape", [total, builder.constant(shape, np.int64)], node.output[0])
        return True

    _reducemean = _reducesum

    def _least(self, size: str) -> str:
        """The constant among the two numbers whose larger one is a size; "" where the size is no such."""
        maker = self.makers.get(size)
        constants = [name for name in maker.input if name in self.stored] if maker and maker.op_type == "Max" else []
        return constants[0] if maker and len(constants) == 1 and len(maker.input) == 2 else ""

    def _fits(self, mask: str, value: str) -> bool:
        """Whether a mask lies over the first axes of a tensor."""
        shape = self.types.shapes.get(value)
        over = self.types.shapes[mask]
        return shape is not None and shape[: len(over)] == over

    def _is_single(self, name: str) -> bool:
        return name in self.types.shapes and int(np.prod(self.types.shapes[name])) == 1

    def _scalar(self, builder: NodeBuilder, single: str) -> str:
        if not self.types.shapes.get(single):
            return single
        return builder.op("Reshape", [single, builder.constant([], np.int64)])

    def _condition(self, builder: NodeBuilder, mask: str, base: str) -> str:
        over, shape = self.types.shapes[mask], self.types.shapes[base]
        if len(over) == len(shape):
            return mask
        behind = [1] * (len(shape) - len(over))
        return builder.op("Reshape", [mask, builder.constant([*over, *behind], np.int64)])
