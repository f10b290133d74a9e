"""Writes every call that a rule is for in other operators, until none is left."""

from __future__ import annotations

import onnx

from astroedge.step.graph_index import GraphIndex, infer_types, replace_items
from astroedge.step.node_builder import NodeBuilder
from astroedge.targets.compiler.expand import (
    activations,
    attention,
    deformable,
    determinant,
    integer_products,
    integers,
    losses,
    norms,
    orders,
    picks,
    pools,
    quantising,
    reductions,
    regions,
    resize,
    scatters,
    transforms,
    transposed_convolutions,
)
from astroedge.targets.compiler.expand.empty_values import drop_empty
from astroedge.targets.compiler.expand.expansion import Call, Rule

FAMILIES = (
    *(activations, attention, deformable, determinant, integer_products, integers, losses, norms, orders, picks),
    *(pools, quantising, reductions, regions, resize, scatters, transforms, transposed_convolutions),
)
RULES: dict[str, Rule] = {name: rule for family in FAMILIES for name, rule in family.RULES.items()}


def expand_operators(model: onnx.ModelProto) -> None:
    """Rewrite the graph of `model` in place; values keep their names.

    Requires: nothing. Ensures: no node is left that its rule would rewrite.
    """
    left: set[str] = set()  # outputs of calls that their rules have left as they are
    drop_empty(model, infer_types(model))
    while any(_wanted(node, left) for node in model.graph.node):
        _expand_once(model, left)


def _wanted(node: onnx.NodeProto, left: set[str]) -> bool:
    return node.op_type in RULES and node.domain in ("", "ai.onnx") and not left.intersection(node.output)


def _expand_once(model: onnx.ModelProto, left: set[str]) -> None:
    """One walk over the nodes; what a rule wrote is looked at in the next one."""
    graph, types = model.graph, infer_types(model)
    index = GraphIndex(graph)
    stored, taken = dict(index.stored), set(index.names)
    opset = next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        builder = NodeBuilder(node, taken)
        if not _wanted(node, left):
            nodes.append(node)
        elif RULES[node.op_type](Call(node, types, stored, opset), builder):
            nodes += builder.nodes
            graph.initializer.extend(builder.constants)
        else:
            left.update(name for name in node.output if name)
            nodes.append(node)
    replace_items(graph.node, nodes)
