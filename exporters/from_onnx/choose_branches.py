"""An If: the branch of a known condition, or both branches and a choice between what they make."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from astroedge.exporters.from_onnx.inline_body import inline_body
from astroedge.exporters.from_onnx.known_values import KnownValues
from astroedge.step.graph_index import attributes, subgraphs
from astroedge.step.node_builder import NodeBuilder

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
DIVISIONS = frozenset({"Div", "Mod"})
LOOK_UPS = {"Gather": 1, "GatherElements": 1, "GatherND": 1, "ScatterElements": 1, "ScatterND": 1, "Scatter": 1}
"""Operators that fail on an index outside their data, and which operand holds the indices."""


def chosen_branch(node: onnx.NodeProto, known: KnownValues, taken: set[str]) -> list[onnx.NodeProto] | None:
    """The nodes of the branch of an If whose condition is known; None for any other node."""
    condition = known.values.get(node.input[0]) if node.op_type == "If" else None
    if condition is None:
        return None
    branch = attributes(node)["then_branch" if bool(condition.reshape(-1)[0]) else "else_branch"]
    nodes, results = inline_body(branch, (), _base(node), taken)
    made = zip(results, node.output, strict=True)
    return [*nodes, *(helper.make_node("Identity", [value], [output]) for value, output in made if output)]


def both_branches(node: onnx.NodeProto, known: KnownValues, taken: set[str]) -> list[onnx.NodeProto] | None:
    """The nodes of both branches of an If that data decides, and a choice; None where that is not the same.

    It is not where results have no common fixed shape, or where a branch holds what may fail on data that it is not
    meant for: a division of integers, a look-up at a computed place.
    """
    if node.op_type != "If":
        return None
    branches = [attributes(node)[name] for name in ("then_branch", "else_branch")]
    same = all(name in known.types.shapes for name in node.output if name)
    if not same or any(_may_fail(branch, known) for branch in branches):
        return None
    builder = NodeBuilder(node, taken)
    made = []
    for branch, side in zip(branches, ("then", "else"), strict=True):
        nodes, results = inline_body(branch, (), f"{_base(node)}/{side}", taken)
        builder.nodes.extend(nodes)
        made.append(results)
    scalar = builder.op("Constant", [], value=numpy_helper.from_array(np.array([], np.int64)))
    condition = builder.op("Reshape", [node.input[0], scalar])
    for one, other, output in zip(*made, node.output, strict=True):
        if output:
            builder.op("Where", [condition, one, other], output)
    return builder.nodes


def _may_fail(branch: onnx.GraphProto, known: KnownValues) -> bool:
    """Whether a branch divides integers or looks something up, by a number that only data tells."""
    stored = {item.name for item in branch.initializer} | known.values.keys()
    stored |= {output for node in branch.node if node.op_type == "Constant" for output in node.output}
    elements = known.elements(branch)
    for node in branch.node:
        if any(_may_fail(inner, known) for inner in subgraphs(node)):
            return True
        if node.op_type in DIVISIONS and node.input[1] not in stored and elements.get(node.input[1]) not in FLOATS:
            return True
        if node.op_type in LOOK_UPS and node.input[LOOK_UPS[node.op_type]] not in stored:
            return True
    return False


def _base(node: onnx.NodeProto) -> str:
    return next((name for name in node.output if name), node.op_type)
