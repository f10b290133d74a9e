"""Which stored tensors of a step graph are weight matrices, and which way round each is read.

A tensor is a matrix W[rows, columns] (inputs × outputs) as it lies, or its transpose is: `Gemm` with transB, a
transposed copy, the weights [outputs, channels, …] of a convolution, whose rows are the taps of a window. An embedding
table [tokens, width] counts as the transpose of a matrix: each token's row is a column, so a table that also serves as
the output layer is one and the same matrix. What DequantizeLinear makes of stored integers is such a tensor too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import onnx

from astroedge.step.dequantise import DEQUANTISING, dequantised_tensor
from astroedge.step.graph_index import GraphIndex, ValueTypes, attributes, infer_types

FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
ONE_NUMBER = onnx.TensorProto()
Uses = dict[str, list[tuple[onnx.NodeProto, int]]]
"""Who reads each value, and as which operand."""


@dataclass(frozen=True)
class FoundMatrix:
    """A weight matrix: the tensor that holds it, in the model that was searched.

    `transposed` is True when the matrix W[rows, columns] is the transpose of the tensor. `problem` says why its bytes
    cannot be exchanged for others, None when they can. `inputs` are what its products multiply: none of an embedding.
    """

    name: str
    tensor: onnx.TensorProto
    rows: int
    columns: int
    transposed: bool
    problem: str | None
    inputs: tuple[MatrixInput, ...] = ()


@dataclass(frozen=True)
class MatrixInput:
    """A value that a matrix multiplies: its last axis is the matrix's inputs, or, when `transposed`, its first."""

    value: str
    transposed: bool = False


@dataclass(frozen=True)
class _Reading:
    """How one node reads a tensor: a matrix or not, and which way round where a kernel can read it in other forms."""

    is_matrix: bool
    transposed: bool | None = None
    problem: str = ""
    input: MatrixInput | None = None


def find_matrices(model: onnx.ModelProto) -> list[FoundMatrix]:
    """The weight matrices, convolution kernels and embedding tables of a model, in the order they are stored."""
    index, types = GraphIndex(model.graph), infer_types(model)
    ranks = types.ranks
    outputs = {value.name for value in model.graph.output}
    found = []
    for name, tensor in (index.stored | _dequantised(model.graph, index, types)).items():
        if tensor.data_type in FLOATS and len(tensor.dims) > 1:
            readings = list(_readings(name, False, index.readers, ranks, outputs))
            if any(reading.is_matrix for reading in readings):
                found.append(_describe(name, tensor, readings))
    return found


def _dequantised(graph: onnx.GraphProto, index: GraphIndex, types: ValueTypes) -> dict[str, onnx.TensorProto]:
    """What each DequantizeLinear of stored matrices makes, by the name that it has in the graph."""
    found = {}
    for node in graph.node:
        if node.op_type == DEQUANTISING and len(index.stored.get(node.input[0], ONE_NUMBER).dims) > 1:
            tensor = dequantised_tensor(node, types, index.stored)
            if tensor is not None:
                found[str(node.output[0])] = tensor
    return found


def _describe(name: str, tensor: onnx.TensorProto, readings: list[_Reading]) -> FoundMatrix:
    """What all readers of a tensor together make of it."""
    problem = next((reading.problem for reading in readings if reading.problem), None)
    directions = {reading.transposed for reading in readings if reading.transposed is not None}
    if problem is None and len(directions) > 1:
        problem = "it is read as a matrix and as its transpose"
    transposed = directions.pop() if len(directions) == 1 else len(tensor.dims) > 2
    first, rest = tensor.dims[0], prod(tensor.dims[1:])
    rows, columns = (rest, first) if transposed else (first, rest)
    inputs = tuple(dict.fromkeys(reading.input for reading in readings if reading.input is not None))
    return FoundMatrix(name, tensor, rows, columns, transposed, problem, inputs)


def _readings(name: str, transposed: bool, uses: Uses, ranks: dict[str, int], outputs: set[str]) -> Iterator[_Reading]:
    """How every reader of a value reads the tensor behind it, through copies and transpositions."""
    if name in outputs:
        yield _Reading(False, problem="it is an output")
    for node, position in uses.get(name, ()):
        if node.op_type == "Identity":
            yield from _readings(node.output[0], transposed, uses, ranks, outputs)
        elif node.op_type == "Transpose" and ranks.get(name) == 2 and attributes(node).get("perm", [1, 0]) == [1, 0]:
            yield from _readings(node.output[0], not transposed, uses, ranks, outputs)
        else:
            yield _reading(node, position, transposed, ranks)


def _reading(node: onnx.NodeProto, position: int, transposed: bool, ranks: dict[str, int]) -> _Reading:
    """How `node` reads the tensor, or its transpose when `transposed`, as operand `position`."""
    if node.op_type in ("MatMul", "Gemm") and position in (0, 1):
        if ranks.get(node.input[position]) != 2:
            return _Reading(True, problem="it has more than two axes")
        if position == 1:
            given = attributes(node)
            read = MatrixInput(node.input[0], bool(given.get("transA", 0)))
            return _Reading(True, transposed != bool(given.get("transB", 0)), input=read)
        if node.op_type == "MatMul" and ranks.get(node.input[1]) == 1:
            return _Reading(True, not transposed, input=MatrixInput(node.input[1]))
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
        if transposed or attributes(node).get("axis", 0) != 0:
            return _Reading(True, problem="its columns are looked up, not its rows")
        return _Reading(True, True)
    return _Reading(False, problem=f"{node.op_type} reads it too")
