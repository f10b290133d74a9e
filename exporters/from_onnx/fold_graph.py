"""Compute in a foreign ONNX graph what depends on constants and shapes alone, and keep the branches that it chooses.

ONNX Runtime computes the constants, so the step has the bits that the original has there.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import onnx
from onnx import helper, inliner, numpy_helper, shape_inference
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from astroedge.errors import GraphError
from astroedge.exporters.shared.labels import unique
from astroedge.step.graph_index import GraphIndex, attributes, declared_types, node_reads, replace_items, subgraphs
from astroedge.step.onnx_session import open_session
from astroedge.step.operators import operator

SMALL_CONSTANT = 4096  # elements; a larger result is kept only if it is no larger than what it is made of
Array = np.ndarray[Any, np.dtype[Any]]
Constants = dict[str, Array]
Shapes = dict[str, tuple[int, ...]]


def fold_graph(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` without constant nodes, shape arithmetic, branches of known condition and local functions.

    The inputs need fixed shapes. Raises GraphError if ONNX cannot infer the shapes of a valid model.
    """
    copy = inliner.inline_local_functions(model) if model.functions else deepcopy(model)
    for value in copy.graph.output:
        value.type.tensor_type.ClearField("shape")
    changed = True
    while changed:
        del copy.graph.value_info[:]
        changed = _fold_once(copy, inferred_shapes(copy))
    return copy


def inferred_shapes(model: onnx.ModelProto) -> Shapes:
    """The shape of each value whose shape is fixed."""
    try:
        inferred = shape_inference.infer_shapes(model, data_prop=True)
    except shape_inference.InferenceError as error:
        reason = " ".join(str(error).split())[:200]
        raise GraphError(f"The shapes in the graph do not fit together ({reason}); check --shape.") from error
    return declared_types(inferred.graph).shapes


def _fold_once(model: onnx.ModelProto, shapes: Shapes) -> bool:
    """One walk over the nodes; whether anything changed."""
    graph = model.graph
    index = GraphIndex(graph)
    known: Constants = {name: numpy_helper.to_array(item) for name, item in index.initialisers.items()}
    nodes: list[onnx.NodeProto] = []
    taken = {*index.names}
    branches = False
    for node in graph.node:
        branch = _chosen_branch(node, known)
        if branch is not None:
            nodes += _inlined(branch, node, taken)
            branches = True
            continue
        values = _value(model, node, known, shapes)
        if values is None:
            nodes.append(node)
        else:
            known.update(values)
    if not branches and len(nodes) == len(graph.node):
        return False
    replace_items(graph.node, nodes)
    read = {*GraphIndex(graph).readers, *(value.name for value in graph.output)} - index.initialisers.keys()
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in known.items() if name in read)
    return True


def _value(model: onnx.ModelProto, node: onnx.NodeProto, known: Constants, shapes: Shapes) -> Constants | None:
    """What a node makes, if that is known before the first tick and worth storing; else None."""
    if node.op_type in ("Shape", "Size") and node.input[0] in shapes:
        return {node.output[0]: _extents(node, shapes[node.input[0]])}
    reads = node_reads(node)
    if operator(node.op_type).refused not in ("", "varying size") or not reads <= known.keys():
        return None
    sizes = [int(np.prod(shapes[name])) for name in node.output if name in shapes]
    if node.op_type != "Constant" and sum(sizes) > max(SMALL_CONSTANT, sum(known[name].size for name in reads)):
        return None
    inputs = {name: known[name] for name in reads}
    if node.op_type == "Range" and all(value.size == 1 for value in inputs.values()):
        inputs = {name: value.reshape(()) for name, value in inputs.items()}  # arrays of one, where ONNX wants numbers
    return _computed(model, node, inputs)


def _extents(node: onnx.NodeProto, shape: tuple[int, ...]) -> Array:
    """What Shape or Size gives."""
    if node.op_type == "Size":
        return np.array(np.prod(shape, dtype=np.int64), np.int64)
    limits = attributes(node)
    return np.array(shape[limits.get("start", 0) : limits.get("end", len(shape))], np.int64)


def _computed(model: onnx.ModelProto, node: onnx.NodeProto, inputs: Mapping[str, Array]) -> Constants | None:
    """A node's outputs in ONNX Runtime; None where that lacks the operator."""
    names = [name for name in node.output if name]
    graph = helper.make_graph(
        [node],
        "constant",
        [],
        [onnx.ValueInfoProto(name=name) for name in names],
        [
            numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
            for name, value in inputs.items()
        ],
    )
    single = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    try:
        made = open_session(single).run(names, {})
    except (failures.NotImplemented, failures.InvalidGraph, failures.Fail, failures.RuntimeException):
        return None
    return dict(zip(names, made, strict=True))


def _chosen_branch(node: onnx.NodeProto, known: Constants) -> onnx.GraphProto | None:
    """The branch of an If whose condition is known."""
    if node.op_type != "If" or node.input[0] not in known:
        return None
    wanted = "then_branch" if bool(known[node.input[0]].reshape(-1)[0]) else "else_branch"
    branch: onnx.GraphProto = attributes(node)[wanted]
    return branch


def _inlined(branch: onnx.GraphProto, node: onnx.NodeProto, taken: set[str]) -> list[onnx.NodeProto]:
    """The nodes of a branch in the outer graph's scope, under names that nothing there has."""
    inner = [output for item in branch.node for output in item.output if output]
    renamed = {}
    for name in (*inner, *(item.name for item in branch.initializer)):
        renamed[name] = unique(f"{node.output[0]}/{name}", taken)
        taken.add(renamed[name])
    constants = [helper.make_node("Constant", [], [renamed[item.name]], value=item) for item in branch.initializer]
    body = [_renamed(item, renamed) for item in branch.node]
    results = [
        helper.make_node("Identity", [renamed.get(value.name, value.name)], [output])
        for value, output in zip(branch.output, node.output, strict=True)
        if output
    ]
    return [*constants, *body, *results]


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
