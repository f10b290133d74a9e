"""The nodes of a sub-graph in the graph around it, under names that nothing there has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy

import onnx
from onnx import helper

from astroedge.exporters.shared.labels import unique
from astroedge.step.graph_index import GraphIndex, replace_items, subgraphs


def inline_body(
    body: onnx.GraphProto, arguments: Sequence[str], base: str, taken: set[str]
) -> tuple[list[onnx.NodeProto], list[str]]:
    """The nodes of `body` with the values `arguments` for its inputs, and the names of its results.

    New names begin with `base`; they are added to `taken`.
    """
    renamed = dict(zip((value.name for value in body.input), arguments, strict=True))
    inner = [output for item in body.node for output in item.output if output]
    for name in (*inner, *(item.name for item in body.initializer)):
        renamed[name] = unique(f"{base}/{name}", taken)
        taken.add(renamed[name])
    constants = [helper.make_node("Constant", [], [renamed[item.name]], value=item) for item in body.initializer]
    nodes = [_renamed(item, renamed) for item in body.node]
    return [*constants, *nodes], [renamed.get(value.name, value.name) for value in body.output]


def _renamed(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    """A copy of a node with other value names, those that its sub-graphs capture included."""
    copy = deepcopy(node)
    copy.input[:] = [names.get(name, name) for name in node.input]
    copy.output[:] = [names.get(name, name) for name in node.output]
    for graph in subgraphs(copy):
        own = {*GraphIndex(graph).makers, *(item.name for item in (*graph.input, *graph.initializer))}
        visible = {name: new for name, new in names.items() if name not in own}
        replace_items(graph.node, [_renamed(item, visible) for item in graph.node])
        for value in graph.output:
            value.name = visible.get(value.name, value.name)
    return copy
