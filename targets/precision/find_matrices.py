"""Which stored tensors of a step graph are weight matrices, and which way round each is read.

A tensor is a matrix W[rows, columns] (inputs × outputs) as it lies, or its transpose is: `Gemm` with transB, a
transposed copy, the weights [outputs, channels, …] of a convolution, whose rows are the taps of a window. An embedding
table [tokens, width] counts as the transpose of a matrix: each token's row is a column, so a table that also serves as
the output layer is one and the same matrix.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import onnx

from astroedge.step.graph_check import infer_shapes, node_reads

FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
Uses = dict[str, list[tuple[onnx.NodeProto, int]]]


@dataclass(frozen=True)
class FoundMatrix:
    """A weight matrix: the tensor that holds it, in the model that was searched.

    `transposed` is True when the matrix W[rows, columns] is the transpose of the tensor. `problem` says why its bytes
    cannot be exchanged for others, None when they can.
    """

    name: str
    tensor: onnx.TensorProto
    rows: int
    columns: int
    transposed: bool
    problem: str | None


@dataclass(frozen=True)
class _Reading:
    """How one node reads a tensor: a matrix or not, and which way round where a kernel can read it in other forms."""

    is_matrix: bool
    transposed: bool | None = None
    problem: str = ""


def find_matrices(model: onnx.ModelProto) -> list[FoundMatrix]:
    """The weight matrices, convolution kernels and embedding tables of a model, in the order they are stored."""
    uses = _uses(model.graph)
    ranks = _ranks(model)
    outputs = {value.name for value in model.graph.output}
    found = []
    for name, tensor in stored_tensors(model.graph):
        if tensor.data_type in FLOATS and len(tensor.dims) > 1:
            readings = list(_readings(name, False, uses, ranks, outputs))
            if any(reading.is_matrix for reading in readings):
                found.append(_describe(name, tensor, readings))
    return found


def stored_tensors(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """Initialisers and the values of Constant nodes, by the names that readers know."""
    for tensor in graph.initializer:
        yield str(tensor.name), tensor
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            yield str(node.output[0]), node.attribute[0].t


def _describe(name: str, tensor: onnx.TensorProto, readings: list[_Reading]) -> FoundMatrix:
    """What all readers of a tensor together make of it."""
    problem = next((reading.problem for reading in readings if reading.problem), None)
    directions = {reading.transposed for reading in readings if reading.transposed is not None}
    if problem is None and len(directions) > 1:
        problem = "it is read as a matrix and as its transpose"
    transposed = directions.pop() if len(directions) == 1 else len(tensor.dims) > 2
    first, rest = tensor.dims[0], prod(tensor.dims[1:])
    rows, columns = (rest, first) if transposed else (first, rest)
    return FoundMatrix(name, tensor, rows, columns, transposed, problem)


def _uses(graph: onnx.GraphProto) -> Uses:
    """Who reads each value, and as which operand; −1 for what sub-graphs capture."""
    uses: Uses = defaultdict(list)
    for node in graph.node:
        for position, name in enumerate(node.input):
            uses[name].append((node, position))
        for name in node_reads(node).difference(node.input):
            uses[name].append((node, -1))
    return uses


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    """The number of axes of each value whose shape is known."""
    graph = infer_shapes(model).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    known = {str(value.name): len(value.type.tensor_type.shape.dim) for value in values}
    return known | {tensor.name: len(tensor.dims) for tensor in graph.initializer}


def _readings(name: str, transposed: bool, uses: Uses, ranks: dict[str, int], outputs: set[str]) -> Iterator[_Reading]:
    """How every reader of a value reads the tensor behind it, through copies and transpositions."""
    if name in outputs:
        yield _Reading(False, problem="it is an output")
    for node, position in uses[name]:
        if node.op_type == "Identity":
            yield from _readings(node.output[0], transposed, uses, ranks, outputs)
        elif node.op_type == "Transpose" and ranks.get(name) == 2 and _attribute(node, "perm", [1, 0]) == [1, 0]:
            yield from _readings(node.output[0], not transposed, uses, ranks, outputs)
        else:
            yield _reading(node, position, transposed, ranks)


def _reading(node: onnx.NodeProto, position: int, transposed: bool, ranks: dict[str, int]) -> _Reading:
    """How `node` reads the tensor, or its transpose when `transposed`, as operand `position`."""
    if node.op_type in ("MatMul", "Gemm") and position in (0, 1):
        if ranks.get(node.input[position]) != 2:
            return _Reading(True, problem="it has more than two axes")
        if position == 1:
            return _Reading(True, transposed != bool(_attribute(node, "transB", 0)))
        if node.op_type == "MatMul" and ranks.get(node.input[1]) == 1:
            return _Reading(True, not transposed)
        return _Reading(True, problem="what it multiplies is a matrix that the step computes")
    if node.op_type == "Conv" and position == 1:
        if ranks.get(node.input[1]) not in (3, 4):
            return _Reading(True, problem="there are no kernels for stored convolutions of three axes")
        return _Reading(True, True)
    if node.op_type == "ConvTranspose" and position == 1:
        return _Reading(True, problem="there are no kernels for stored transposed convolutions")
    if node.op_type == "Gather" and position == 0:
        if ranks.get(node.input[0]) != 2:
            return _Reading(True, problem="it has more than two axes")
        if transposed or _attribute(node, "axis", 0) != 0:
            return _Reading(True, problem="its columns are looked up, not its rows")
        return _Reading(True, True)
    return _Reading(False, problem=f"{node.op_type} reads it too")


def _attribute(node: onnx.NodeProto, name: str, default: int | list[int]) -> int | list[int]:
    """An attribute of one integer or several."""
    for attribute in node.attribute:
        if attribute.name == name:
            return attribute.i if attribute.type == onnx.AttributeProto.INT else list(attribute.ints)
    return default
