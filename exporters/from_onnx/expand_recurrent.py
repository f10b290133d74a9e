"""ONNX's LSTM, GRU and RNN over the elements of a short sequence inside one tick, written element by element.

The input's share of the gates is one matrix product of the whole sequence; the rest follows the sequence, forwards or
backwards. Elements behind a stream's own length (sequence_lens) leave its states as they are and give zeros.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from astroedge.exporters.from_onnx.fold_graph import inferred_types
from astroedge.exporters.from_onnx.recurrent_call import GATES, INPUTS, RecurrentCall
from astroedge.exporters.from_onnx.recurrent_cells import RecurrentCell
from astroedge.step.graph_index import GraphIndex, attributes, replace_items, subgraphs
from astroedge.step.node_builder import NodeBuilder

BATCH_FIRST = {"X": (1, 0, 2), "initial_h": (1, 0, 2), "initial_c": (1, 0, 2)}
BATCH_FIRST_RESULTS = ((2, 0, 1, 3), (1, 0, 2), (1, 0, 2))


def expand_recurrent(model: onnx.ModelProto) -> None:
    """Replace each LSTM, GRU and RNN of a folded model in place; the batch is the second axis of what they read.

    Raises UnsupportedOpError, which names the operator, for open sizes, a sequence that is too long to be written out,
    and activations that ONNX does not name.
    """
    types = inferred_types(model)
    nodes: list[onnx.NodeProto] = []
    taken = {*GraphIndex(model.graph).names}
    for node in model.graph.node:
        if node.op_type not in GATES:
            nodes.append(node)
            continue
        builder = NodeBuilder(node, taken)
        _expand(RecurrentCall(node, types), builder)
        nodes += builder.nodes
        model.graph.initializer.extend(builder.constants)
    replace_items(model.graph.node, nodes)


def batch_second(graph: onnx.GraphProto) -> None:
    """Write each recurrent operator whose batch is the first axis (layout 1) as one between transposes, in place.

    ONNX Runtime, which a step is compared with, has no such layout.
    """
    nodes: list[onnx.NodeProto] = []
    taken = {*GraphIndex(graph).names}
    for node in graph.node:
        for inner in subgraphs(node):
            batch_second(inner)
        if node.op_type not in GATES or not attributes(node).get("layout"):
            nodes.append(node)
            continue
        builder = NodeBuilder(node, taken)
        _transpose_around(node, builder)
        nodes += builder.nodes
    replace_items(graph.node, nodes)


def _transpose_around(node: onnx.NodeProto, builder: NodeBuilder) -> None:
    inputs = [
        builder.op("Transpose", [value], perm=BATCH_FIRST[name]) if value and name in BATCH_FIRST else value
        for name, value in zip(INPUTS, node.input, strict=False)
    ]
    made = [builder.name("batch_second") if output else "" for output in node.output]
    builder.ops(node.op_type, inputs, made)
    kept = [item for item in node.attribute if item.name != "layout"]
    builder.nodes[-1].attribute.extend(kept)
    for value, output, axes in zip(made, node.output, BATCH_FIRST_RESULTS, strict=False):
        if output:
            builder.op("Transpose", [value], output, perm=axes)


def _expand(call: RecurrentCall, builder: NodeBuilder) -> None:
    """All directions of one operator, and its outputs as far as they are wanted."""
    length, batch, width = call.sizes
    rows = builder.op("Reshape", [call.inputs["X"], builder.constant((length * batch, width), np.int64)])
    within = _within(call, builder)
    sequences, finals = [], []
    for direction, backwards in enumerate(call.directions):
        cell = RecurrentCell(call, builder, direction)
        given = _elements(cell.project(rows), length, batch, builder)
        results, states = _run(cell, given, within, backwards, builder)
        if call.outputs[0]:
            sequences.append(_joined(results, (length, 1, batch, call.hidden), 0, builder))
        finals.append(states)
    y, *last = call.outputs
    if y:
        _give(sequences, y, 1, builder)
    for place, output in enumerate(last[: len(finals[0])]):
        if output:
            shape = builder.constant((1, batch, call.hidden), np.int64)
            _give([builder.op("Reshape", [states[place], shape]) for states in finals], output, 0, builder)


def _within(call: RecurrentCall, builder: NodeBuilder) -> list[str]:
    """For each element whether it is one of a stream, `(batch, 1)`; "" where all are."""
    length, batch, _ = call.sizes
    if "sequence_lens" not in call.inputs:
        return [""] * length
    lengths = builder.op("Reshape", [call.inputs["sequence_lens"], builder.constant((batch, 1), np.int64)])
    return [
        builder.op("Greater", [lengths, builder.constant(element, np.int32, "element")]) for element in range(length)
    ]


def _elements(projected: str, length: int, batch: int, builder: NodeBuilder) -> list[str]:
    """The rows of each element of the sequence."""
    if length == 1:
        return [projected]
    sizes = builder.constant([batch] * length, np.int64, "sizes")
    return builder.ops("Split", [projected, sizes], [builder.name("element") for _ in range(length)], axis=0)


def _run(
    cell: RecurrentCell, given: Sequence[str], within: Sequence[str], backwards: bool, builder: NodeBuilder
) -> tuple[list[str], tuple[str, ...]]:
    """The output at each element, in the order of the sequence, and the states behind the last that is run."""
    states = cell.initial
    results = [""] * len(given)
    for element in reversed(range(len(given))) if backwards else range(len(given)):
        following = cell.step(given[element], states)
        inside = within[element]
        if inside:
            results[element] = builder.op("Where", [inside, following[0], cell.nothing])
            states = tuple(builder.op("Where", [inside, *pair]) for pair in zip(following, states, strict=True))
        else:
            results[element], states = following[0], following
    if within[0]:  # a stream of no elements ends in zeros, as in ONNX Runtime
        states = tuple(builder.op("Where", [within[0], state, cell.nothing]) for state in states)
    return results, states


def _joined(results: Sequence[str], shape: tuple[int, ...], axis: int, builder: NodeBuilder) -> str:
    """The outputs of a direction as one array of `shape`."""
    joined = results[0] if len(results) == 1 else builder.op("Concat", results, axis=axis)
    return builder.op("Reshape", [joined, builder.constant(shape, np.int64)])


def _give(directions: Sequence[str], output: str, axis: int, builder: NodeBuilder) -> None:
    """What the operator makes of the results of all directions."""
    if len(directions) == 1:
        builder.op("Identity", directions, output)
    else:
        builder.op("Concat", directions, output, axis=axis)
