"""Choices between Booleans as logic: ONNX allows `Where` on them, ONNX Runtime has no kernel for it."""

from __future__ import annotations

import onnx
from onnx import helper

from astroedge.exporters.shared.labels import unique
from astroedge.step.graph_index import GraphIndex, infer_types, replace_items


def rewrite_booleans(model: onnx.ModelProto) -> None:
    """Write `Where(c, a, b)` of Booleans as `(c and a) or (not c and b)`, in place: the same for every operand."""
    graph = model.graph
    elements = infer_types(model).elements
    taken = {*GraphIndex(graph).names}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type != "Where" or elements.get(node.output[0]) != onnx.TensorProto.BOOL:
            nodes.append(node)
            continue
        condition, one, other = node.input
        path = node.name.rpartition("/")[0]
        names = []
        for part in ("not", "if", "else"):
            names.append(unique(f"{node.output[0]}_{part}", taken))
            taken.add(names[-1])
        for kind, operands, name in (
            ("Not", [condition], names[0]),
            ("And", [condition, one], names[1]),
            ("And", [names[0], other], names[2]),
        ):
            nodes.append(helper.make_node(kind, operands, [name], name=f"{path}/{name}"))
        nodes.append(helper.make_node("Or", names[1:], list(node.output), name=node.name))
    replace_items(graph.node, nodes)
