"""One look at an ONNX graph: who makes and who reads each value, what is stored, and every value's type.

An index says what it found when it was asked first; after a change to the graph make a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from astroedge.errors import GraphError
from astroedge.host_package import require
from astroedge.step.onnx_file import without_initialisers
from astroedge.step.tensor_data import SMALL_TENSOR, stored_size

if TYPE_CHECKING:
    import onnx
    from onnx import checker, helper, shape_inference
else:
    onnx = require("onnx", "reading a step graph")
    checker = require("onnx.checker", "reading a step graph")
    helper = require("onnx.helper", "reading a step graph")
    shape_inference = require("onnx.shape_inference", "reading a step graph")

CAPTURED = -1
"""The position at which a node reads what its sub-graphs capture."""


class GraphIndex:
    """The values of one graph by name."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        """Look at `graph`; nothing is computed before it is asked for."""
        self._graph = graph

    @cached_property
    def makers(self) -> dict[str, onnx.NodeProto]:
        """The node that makes each value; inputs and initialisers have none."""
        return {output: node for node in self._graph.node for output in node.output}

    @cached_property
    def readers(self) -> dict[str, list[tuple[onnx.NodeProto, int]]]:
        """The nodes that read each value, in graph order, and as which operand; `CAPTURED` for sub-graphs."""
        found: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
        for node in self._graph.node:
            captured = sorted(node_reads(node).difference(node.input))
            for position, name in (*enumerate(node.input), *((CAPTURED, name) for name in captured)):
                found.setdefault(name, []).append((node, position))
        return found

    @cached_property
    def initialisers(self) -> dict[str, onnx.TensorProto]:
        """The initialisers."""
        return {tensor.name: tensor for tensor in self._graph.initializer}

    @cached_property
    def stored(self) -> dict[str, onnx.TensorProto]:
        """The initialisers and the tensors of Constant nodes, by the names that readers know."""
        constants = (node for node in self._graph.node if node.op_type == "Constant")
        held = ((node.output[0], attributes(node).get("value")) for node in constants)
        return self.initialisers | {name: tensor for name, tensor in held if tensor is not None}

    @cached_property
    def leaving(self) -> frozenset[str]:
        """The outputs."""
        return frozenset(value.name for value in self._graph.output)

    @cached_property
    def names(self) -> frozenset[str]:
        """Every name in use, those in sub-graphs included."""
        graph = self._graph
        found = {item.name for item in (*graph.input, *graph.initializer, *graph.output)}
        for node in graph.node:
            found.update(node.input, node.output)
            for inner in subgraphs(node):
                found |= GraphIndex(inner).names
        return frozenset(found)


@dataclass(frozen=True)
class ValueTypes:
    """What is known of values by name: element types, shapes of fixed sizes, numbers of axes."""

    elements: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)


def declared_types(graph: onnx.GraphProto) -> ValueTypes:
    """What a graph says itself of its inputs, outputs, initialisers and, after shape inference, of all its values."""
    types = ValueTypes()
    for tensor in graph.initializer:
        types.elements[tensor.name] = tensor.data_type
        types.shapes[tensor.name], types.ranks[tensor.name] = tuple(tensor.dims), len(tensor.dims)
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        types.elements[value.name] = kind.elem_type
        if kind.HasField("shape"):
            types.ranks[value.name] = len(kind.shape.dim)
            if all(dim.HasField("dim_value") for dim in kind.shape.dim):
                types.shapes[value.name] = tuple(dim.dim_value for dim in kind.shape.dim)
    return types


def infer_types(model: onnx.ModelProto) -> ValueTypes:
    """The type of every value of `model`, which is checked; large weights are not copied.

    Raises GraphError if the model is not valid ONNX.
    """
    skeleton = with_large_as_inputs(model)
    try:
        checker.check_model(skeleton)
        inferred = shape_inference.infer_shapes(skeleton, check_type=True, strict_mode=True, data_prop=True)
    except (checker.ValidationError, shape_inference.InferenceError) as error:
        reason = " ".join(str(error).split())[:300]
        raise GraphError(
            f"The graph is not valid ONNX ({reason}); it was damaged or written wrongly: export the model again."
        ) from error
    return declared_types(inferred.graph)


def with_large_as_inputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which large initialisers are inputs: what ONNX's checker can look at whatever the model's size."""
    skeleton = without_initialisers(model)
    inputs = {value.name for value in model.graph.input}
    for tensor in model.graph.initializer:
        if stored_size(tensor) > SMALL_TENSOR and tensor.name in inputs:
            continue  # old files list their weights among the inputs
        if stored_size(tensor) > SMALL_TENSOR:
            skeleton.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        else:
            skeleton.graph.initializer.append(tensor)
    return skeleton


def live_nodes(graph: onnx.GraphProto, outputs: Sequence[str]) -> list[onnx.NodeProto]:
    """The nodes that `outputs` depend on, in graph order; `graph` must be sorted, as ONNX demands."""
    wanted, found = set(outputs), []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            found.append(node)
            wanted.update(node_reads(node))
    return found[::-1]


def node_reads(node: onnx.NodeProto) -> set[str]:
    """Every value a node reads, those captured by its sub-graphs included."""
    reads = {name for name in node.input if name}
    for inner in subgraphs(node):
        for child in inner.node:
            reads |= node_reads(child)
        reads.update(value.name for value in inner.output)
    return reads


def subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """The graphs among a node's attributes, such as the branches of an If."""
    return [inner for item in node.attribute for inner in ((item.g,) if item.HasField("g") else item.graphs)]


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes by name: numbers, bytes, lists of them, tensors, graphs."""
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def replace_items(items: Any, kept: Iterable[Any]) -> None:
    """Replace the contents of a protobuf list; `kept` may hold items of the list itself."""
    copies = list(kept)
    del items[:]
    items.extend(copies)
