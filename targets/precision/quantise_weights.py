"""Store the weights of a step graph in fewer bits: the graph that the stored weights stand for, and the weights.

Only the bytes of weight matrices change; names, nodes and everything else stay. So the graph that comes out is the
exact reference of what is compiled from it: the same step with every weight at its stored value. Quantising it once
more by the same rules changes nothing.

Later passes rename, transpose and fold weights, so they find the stored form of a matrix by its numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from astroedge.step.graph import StepGraph
from astroedge.step.graph_index import GraphIndex, replace_items
from astroedge.step.onnx_file import move_out
from astroedge.step.tensor_data import Source, array_of, forget, is_reference, sources_of
from astroedge.targets.precision.find_matrices import FoundMatrix, find_matrices
from astroedge.targets.precision.keep_decisions import find_decision, keep_decisions
from astroedge.targets.precision.round_by_examples import Rounding, Say, round_by_examples
from astroedge.targets.precision.rules import PrecisionRules
from astroedge.targets.precision.storage import FLOAT32, Storage
from astroedge.targets.precision.weight_format import StoredMatrix, store


@dataclass(frozen=True)
class WeightChoice:
    """What was decided for one weight matrix: its key in `StoredWeights.matrices`, its storage and why.

    `examples` is how many ticks of the graph's examples led to its integers, 0 where they are the nearest.
    """

    name: str
    rows: int
    columns: int
    key: str
    storage: Storage
    reason: str
    examples: int = 0


@dataclass(frozen=True)
class StoredWeights:
    """The stored form of every matrix that is not kept in float32, and what was decided for each weight.

    `precision` is the text of the rules, "float32" where they change nothing; `source_sha256` is the digest of the
    graph before it was quantised, None where its weights are as they were.
    """

    precision: str = "float32"
    source_sha256: str | None = None
    choices: tuple[WeightChoice, ...] = ()
    matrices: Mapping[str, StoredMatrix] = field(default_factory=dict)

    def find(self, matrix: NDArray[np.float32]) -> tuple[str, StoredMatrix] | None:
        """The key and stored form of W[rows, columns], by its numbers; None when it is kept in float32."""
        if not self.matrices:
            return None
        key = matrix_key(matrix)
        return (key, self.matrices[key]) if key in self.matrices else None


@dataclass(frozen=True)
class QuantisedGraph:
    """A step graph with every weight at its stored value, and what is stored."""

    graph: StepGraph
    weights: StoredWeights


Decided = tuple[FoundMatrix, WeightChoice, StoredMatrix | None]


def quantise_weights(graph: StepGraph, rules: PrecisionRules, say: Say = lambda stage: None) -> QuantisedGraph:
    """Quantise the weight matrices of `graph`, which stays as it is.

    A matrix that cannot be stored as asked stays float32, and its choice says why. `say` is told of stages that take a
    while. Raises CompileError for an override that matches no weight, GraphError where ONNX Runtime cannot step the
    examples that the graph carries.
    """
    found, index = find_matrices(graph.model), GraphIndex(graph.model.graph)
    rules.check([matrix.name for matrix in found])
    decided = [(matrix, *_decide(matrix, rules.of(matrix.name), index)) for matrix in found]
    decided = _by_examples(graph, decided, say)
    choices = tuple(choice for _, choice, _ in decided)
    stored = {choice.key: form for _, choice, form in decided if form is not None}
    if not stored:
        return QuantisedGraph(graph, StoredWeights(choices=choices))
    changed = {matrix.name: partial(_dequantise, matrix, form) for matrix, _, form in decided if form is not None}
    weights = StoredWeights(rules.text, graph.digest, choices, stored)
    model, _sources = _with_numbers(graph.model, changed)
    forget(graph.model)
    return QuantisedGraph(StepGraph(model, graph.spec), weights)


def matrix_key(matrix: NDArray[np.float32]) -> str:
    """A digest of a matrix's shape and numbers, the same in whatever order its elements lie in memory."""
    content = np.ascontiguousarray(matrix, dtype="<f4")
    digest = hashlib.sha256(repr(content.shape).encode())
    digest.update(content.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _decide(found: FoundMatrix, storage: Storage, index: GraphIndex) -> tuple[WeightChoice, StoredMatrix | None]:
    """How one matrix is stored; None is float32."""
    tensor = array_of(found.tensor)
    if storage.is_plain:
        return WeightChoice(found.name, found.rows, found.columns, "", storage, ""), None
    asked = f"{storage.name} was asked for, but"
    problem = found.problem or storage.problem(tensor, found.rows)
    if problem:
        return WeightChoice(found.name, found.rows, found.columns, "", FLOAT32, f"{asked} {problem}"), None
    reason = ""
    if storage.in_convolutions and tensor.ndim > 2:
        storage, reason = storage.in_convolutions, f"{asked} a convolution has no kernel for it"
    stored = store(_weights(found), storage)
    decision = find_decision(found.name, index) if storage.is_integer else None
    if decision is not None:
        stored = keep_decisions(_weights(found), stored, decision)
    key = matrix_key(stored.dequantise())
    return WeightChoice(found.name, found.rows, found.columns, key, storage, reason), stored


def _by_examples(graph: StepGraph, decided: list[Decided], say: Say) -> list[Decided]:
    """What was decided, with other integers and a reason where the examples of the graph lead to better ones."""
    open_to = [
        Rounding(found, partial(_weights, found), form)
        for found, choice, form in decided
        if form is not None and choice.storage.by_examples
    ]
    changed = round_by_examples(graph, open_to, say) if open_to else {}
    for place, (found, choice, _) in enumerate(decided):
        if found.name in changed:
            made = changed[found.name]
            key = matrix_key(made.stored.dequantise())
            decided[place] = found, replace(choice, key=key, reason=made.note, examples=made.examples), made.stored
    return decided


def _weights(found: FoundMatrix) -> NDArray[np.float32]:
    """The numbers of W[rows, columns]."""
    tensor = array_of(found.tensor)
    matrix = tensor.reshape(len(tensor), -1).T if found.transposed else tensor
    return np.ascontiguousarray(matrix, dtype=np.float32)


def _dequantise(found: FoundMatrix, stored: StoredMatrix) -> NDArray[Any]:
    """The numbers that the stored form of a tensor stands for, in the tensor's dtype and shape."""
    dtype = onnx.helper.tensor_dtype_to_np_dtype(found.tensor.data_type)
    matrix = stored.dequantise().astype(dtype, copy=False)
    return (matrix.T if found.transposed else matrix).reshape(tuple(found.tensor.dims))


def _with_numbers(
    model: onnx.ModelProto, changed: Mapping[str, Callable[[], NDArray[Any]]]
) -> tuple[onnx.ModelProto, tuple[Source, ...]]:
    """A copy of the model with other numbers in tensors of the same dtypes and shapes, all of them stored.

    `changed` makes them, by name, when their turn comes. Beside the model, what its references lead to.
    """
    copy = deepcopy(model)
    stored = GraphIndex(copy.graph).stored
    replace_items(copy.graph.node, [node for node in copy.graph.node if not _is_replaced(node, stored, changed)])
    stored = GraphIndex(copy.graph).stored
    referred = {name for name in changed if name in stored and is_reference(stored[name])}
    for name in [name for name in changed if name not in referred]:
        tensor = numpy_helper.from_array(np.ascontiguousarray(changed[name]()), name)
        (stored[name] if name in stored else copy.graph.initializer.add()).CopyFrom(tensor)
    return copy, move_out(copy, {name: changed[name] for name in referred}) if referred else sources_of(copy)


def _is_replaced(node: onnx.NodeProto, stored: Mapping[str, object], changed: Mapping[str, object]) -> bool:
    """Whether a node makes what will be stored from now on."""
    return any(name in changed and name not in stored for name in node.output)
