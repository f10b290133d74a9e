"""Write every spike the same way: a comparison, then a cast to numbers.

PyTorch models choose between 1 and 0 in several ways; later stages look for one. Each rewrite gives equal bits, NaN
included.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from astroedge.exporters.graph.clean_graph import remove_dead
from astroedge.exporters.shared.labels import unique
from astroedge.step.graph_check import infer_shapes
from astroedge.step.operators import operator

SMALL = 4096  # bytes; a larger constant is not looked into


def rewrite_spikes(model: onnx.ModelProto) -> None:
    """Rewrite choices between 1 and 0, and the form that torch.heaviside takes, in place; merge equal comparisons."""
    graph = model.graph
    for index, node in enumerate(graph.node):
        if node.op_type == "Where":
            heaviside = _Heaviside(graph).rewritten(node)
            if heaviside:
                _replace(graph, index, heaviside)
    remove_dead(graph)
    _merge_comparisons(graph)
    shapes = _shapes(model)
    constants = _constants(graph)
    position = 0
    while position < len(graph.node):
        nodes = _as_cast(graph, graph.node[position], constants, shapes)
        if nodes:
            _replace(graph, position, nodes)
        position += max(1, len(nodes))
    remove_dead(graph)


def _as_cast(
    graph: onnx.GraphProto, node: onnx.NodeProto, constants: dict[str, int], shapes: dict[str, tuple[int, ...]]
) -> list[onnx.NodeProto]:
    """`Where(c, 1, 0)` as `Cast(c)` and `Where(c, 0, 1)` as `Cast(Not(c))`, if nothing is broadcast; else nothing."""
    if node.op_type != "Where" or shapes.get(node.input[0]) != shapes.get(node.output[0]):
        return []
    condition, branches = node.input[0], [constants.get(name) for name in node.input[1:]]
    if branches not in ([1, 0], [0, 1]):
        return []
    kind = _element_type(graph, node.input[1])
    if branches == [0, 1]:
        inverse = unique(f"{condition}_not", {output for other in graph.node for output in other.output})
        name = f"{node.name.rpartition('/')[0]}/{inverse}"
        return [
            helper.make_node("Not", [condition], [inverse], name=name),
            helper.make_node("Cast", [inverse], list(node.output), name=node.name, to=kind),
        ]
    return [helper.make_node("Cast", [condition], list(node.output), name=node.name, to=kind)]


class _Heaviside:
    """Recognises `Where(x = 0, c, Cast(Where(x < 0 or x is NaN, 0, 1)))` with a constant c of 1 or 0."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        """Look at `graph`."""
        self.graph = graph
        self.makers = {output: node for node in graph.node for output in node.output}
        self.constants = _constants(graph)

    def rewritten(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """The comparison and the cast that are equal to `node`, or nothing."""
        equal, inner = self._maker(node.input[0], "Equal"), self._maker(node.input[2], "Cast")
        chosen = inner and self._maker(inner.input[0], "Where")
        either = chosen and self._maker(chosen.input[0], "Or")
        less, nan = (
            (self._maker(either.input[0], "Less"), self._maker(either.input[1], "IsNaN")) if either else (None,) * 2
        )
        at_zero = self.constants.get(node.input[1])
        if equal is None or chosen is None or less is None or nan is None or at_zero not in (0, 1):
            return []
        same = equal.input[0] == less.input[0] == nan.input[0] and equal.input[1] == less.input[1]
        branches = [self.constants.get(name) for name in chosen.input[1:]]
        if not same or self.constants.get(equal.input[1]) != 0 or branches != [0, 1]:
            return []
        fired = unique(f"{node.output[0]}_fired", self.makers)
        kind = _element_type(self.graph, node.input[1])
        comparison = "GreaterOrEqual" if at_zero else "Greater"
        path = node.name.rpartition("/")[0]
        return [
            helper.make_node(comparison, list(equal.input), [fired], name=f"{path}/{fired}"),
            helper.make_node("Cast", [fired], list(node.output), name=node.name, to=kind),
        ]

    def _maker(self, value: str, operator: str) -> onnx.NodeProto | None:
        node = self.makers.get(value)
        return node if node is not None and node.op_type == operator else None


def _merge_comparisons(graph: onnx.GraphProto) -> None:
    """Let comparisons of the same two values be one: a spike and the reset it causes must never differ."""
    first: dict[tuple[str, ...], str] = {}
    outputs = {value.name for value in graph.output}
    renamed: dict[str, str] = {}
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        if operator(node.op_type).kind != "comparison":
            continue
        kept = first.setdefault((node.op_type, *node.input), node.output[0])
        if kept != node.output[0] and node.output[0] not in outputs:
            renamed[node.output[0]] = kept
    remove_dead(graph)


def _replace(graph: onnx.GraphProto, index: int, nodes: list[onnx.NodeProto]) -> None:
    """Put `nodes` in the place of one node."""
    del graph.node[index]
    for offset, node in enumerate(nodes):
        graph.node.insert(index + offset, node)


def _constants(graph: onnx.GraphProto) -> dict[str, int]:
    """Small initialisers whose elements are all 1, or all 0, with that number."""
    found = {}
    for tensor in graph.initializer:
        if 0 < len(tensor.raw_data) <= SMALL:
            values = np.unique(numpy_helper.to_array(tensor)).tolist()
            if values in ([0], [1]):
                found[tensor.name] = 1 if values == [1] else 0
    return found


def _element_type(graph: onnx.GraphProto, name: str) -> int:
    """Element type of an initialiser."""
    return next(int(tensor.data_type) for tensor in graph.initializer if tensor.name == name)


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """The static shape of every value."""
    graph = infer_shapes(model).graph
    return {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
