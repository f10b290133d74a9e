"""Write every spike the same way: a comparison, then a cast to numbers.

PyTorch models choose between 1 and 0 in several ways; later stages look for one. Each rewrite gives equal bits, NaN
included.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper

from astroedge.exporters.graph.clean_graph import remove_dead
from astroedge.exporters.shared.labels import unique
from astroedge.step.graph_index import GraphIndex, infer_types, replace_items
from astroedge.step.operators import operator
from astroedge.step.tensor_data import array_of, data_bytes

SMALL = 4096  # bytes; a larger constant is not looked into


def rewrite_spikes(model: onnx.ModelProto) -> None:
    """Rewrite choices between 1 and 0, and the form that torch.heaviside takes, in place; merge equal comparisons."""
    graph = model.graph
    choices = _Choices(graph)
    replace_items(graph.node, [item for node in graph.node for item in choices.heaviside(node) or [node]])
    remove_dead(graph)
    _merge_comparisons(graph)
    choices, shapes = _Choices(graph), infer_types(model).shapes
    replace_items(graph.node, [item for node in graph.node for item in choices.cast(node, shapes) or [node]])
    remove_dead(graph)


class _Choices:
    """Recognises, in a graph as it is now, choices between a number and 0 and says what they are written as instead."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        """Look at `graph`."""
        index = GraphIndex(graph)
        self.makers, self.initialisers, self.taken = index.makers, index.initialisers, {*index.names}
        self.constants = _constants(index.initialisers)

    def cast(self, node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> list[onnx.NodeProto]:
        """`Where(c, 1, 0)` as `Cast(c)`, `Where(c, 0, 1)` as `Cast(Not(c))`, if nothing is broadcast.

        `Where(c, 0, a)` with another number is `Where(Not(c), a, 0)`; anything else is nothing.
        """
        if node.op_type != "Where" or node.output[0] not in shapes:
            return []
        if shapes.get(node.input[0]) != shapes[node.output[0]]:
            return []
        condition, branches = node.input[0], [self.constants.get(name) for name in node.input[1:]]
        if branches == [1, 0]:
            return [self._cast(node, condition)]
        if branches[0] != 0 or branches[1] in (None, 0):
            return []
        inverse = self._name(f"{condition}_not")
        path = node.name.rpartition("/")[0]
        inversion = helper.make_node("Not", [condition], [inverse], name=f"{path}/{inverse}")
        if branches[1] == 1:
            return [inversion, self._cast(node, inverse)]
        return [inversion, helper.make_node("Where", [inverse, *node.input[:0:-1]], list(node.output), name=node.name)]

    def heaviside(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """`Where(x = 0, c, Cast(Where(x < 0 or x is NaN, 0, 1)))` with c of 1 or 0 as a comparison and a cast."""
        if node.op_type != "Where":
            return []
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
        fired = self._name(f"{node.output[0]}_fired")
        comparison = "GreaterOrEqual" if at_zero else "Greater"
        path = node.name.rpartition("/")[0]
        return [
            helper.make_node(comparison, list(equal.input), [fired], name=f"{path}/{fired}"),
            self._cast(node, fired),
        ]

    def _cast(self, node: onnx.NodeProto, condition: str) -> onnx.NodeProto:
        """What makes `node`'s result from a Boolean: numbers in the element type of its constants."""
        kind = self.initialisers[node.input[1]].data_type
        return helper.make_node("Cast", [condition], list(node.output), name=node.name, to=kind)

    def _name(self, name: str) -> str:
        """A name that no value has yet."""
        self.taken.add(name := unique(name, self.taken))
        return name

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


def _constants(initialisers: Mapping[str, onnx.TensorProto]) -> dict[str, float]:
    """Small initialisers whose elements are all one number, with that number."""
    found = {}
    for name, tensor in initialisers.items():
        if tensor.HasField("raw_data") and 0 < data_bytes(tensor) <= SMALL:
            values = np.unique(array_of(tensor)).tolist()
            if len(values) == 1:
                found[name] = values[0]
    return found
