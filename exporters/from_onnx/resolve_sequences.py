"""Sequences of tensors, and optional values, as what they hold: a step has neither, but their places may be known."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from astroedge.exporters.from_onnx.known_values import KnownValues
from astroedge.step.graph_index import GraphIndex, attributes, live_nodes, replace_items
from astroedge.step.node_builder import NodeBuilder

MAKERS = frozenset(
    {"SequenceConstruct", "SequenceEmpty", "SequenceInsert", "SequenceErase", "SplitToSequence", "Optional", "Identity"}
)
READERS = frozenset({"SequenceAt", "SequenceLength", "ConcatFromSequence", "OptionalGetElement", "OptionalHasElement"})
Items = tuple[str, ...]


def resolve_sequences(model: onnx.ModelProto, known: KnownValues) -> bool:
    """Write what reads sequences and optional values with the tensors in them, in place; whether anything changed.

    What is left is where only data tells which tensor is meant.
    """
    graph = model.graph
    if not any(node.op_type in READERS for node in graph.node):
        return False
    resolver = _Resolver(known, {*GraphIndex(graph).names})
    for node in graph.node:
        resolver.look_at(node)
    if not resolver.resolved:
        return False
    replace_items(graph.node, resolver.nodes)
    replace_items(graph.node, live_nodes(graph, [value.name for value in graph.output]))
    return True


class _Resolver:
    """Follows sequences through a graph; `nodes` is the graph with every reader that could be written anew."""

    def __init__(self, known: KnownValues, taken: set[str]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.resolved = False
        self._known, self._taken = known, taken
        self._sequences: dict[str, Items] = {}
        self._options: dict[str, Items] = {}  # what an optional value holds: one tensor or none

    def look_at(self, node: onnx.NodeProto) -> None:
        """Note what a node makes, or write what it reads."""
        builder = NodeBuilder(node, self._taken)
        if node.op_type in MAKERS:
            self._note(node, builder)
        elif node.op_type in READERS and self._write(node, builder):
            self.resolved = True
            self.nodes += builder.nodes
            return
        self.nodes += [*builder.nodes, node]

    def _note(self, node: onnx.NodeProto, builder: NodeBuilder) -> None:
        """Remember the sequence or optional value that a node makes, where its places are known."""
        kind, output = node.op_type, node.output[0]
        source = node.input[0] if node.input else ""
        if kind == "SequenceConstruct":
            self._sequences[output] = tuple(node.input)
        elif kind == "SequenceEmpty":
            self._sequences[output] = ()
        elif kind == "Optional":
            if source in self._sequences:
                self._sequences[output] = self._sequences[source]
            else:
                self._options[output] = (source,) if source else ()
        elif kind == "Identity":
            for held in (self._sequences, self._options):
                if source in held:
                    held[output] = held[source]
        elif kind == "SplitToSequence":
            pieces = self._split(node, builder)
            if pieces:
                self._sequences[output] = pieces
        elif source in self._sequences:
            self._edit(node, list(self._sequences[source]))

    def _edit(self, node: onnx.NodeProto, items: list[str]) -> None:
        """SequenceInsert, whose position may be behind the last, and SequenceErase."""
        inserts = node.op_type == "SequenceInsert"
        place = self._place(node, 2 if inserts else 1, len(items) if inserts else len(items) - 1)
        if place is None or not 0 <= place < len(items) + inserts:
            return
        if inserts:
            items.insert(place, node.input[1])
        else:
            del items[place]
        self._sequences[node.output[0]] = tuple(items)

    def _place(self, node: onnx.NodeProto, operand: int, usual: int) -> int | None:
        """A position, from the front; `usual` where it is left out, None where it is not known."""
        if len(node.input) <= operand or not node.input[operand]:
            return usual
        value = self._known.values.get(node.input[operand])
        if value is None:
            return None
        place = int(value.reshape(-1)[0])
        return place if place >= 0 else place + len(self._sequences[node.input[0]])

    def _split(self, node: onnx.NodeProto, builder: NodeBuilder) -> Items:
        """The pieces of a SplitToSequence; none where their sizes are not known."""
        options, shape = attributes(node), self._known.types.shapes.get(node.input[0])
        given = node.input[1] if len(node.input) > 1 else ""
        if shape is None or (given and given not in self._known.values):
            return ()
        axis = options.get("axis", 0) % len(shape)
        size = self._known.values[given] if given else np.array(1)
        if size.ndim == 0:
            starts = range(0, shape[axis], int(size))
            sizes = [min(int(size), shape[axis] - start) for start in starts]
        else:
            sizes = size.tolist()
        names = [builder.name("piece") for _ in sizes]
        pieces = builder.ops("Split", [node.input[0], self._stored(sizes, builder)], names, axis=axis)
        if given or options.get("keepdims", 1):
            return tuple(pieces)
        return tuple(builder.op("Squeeze", [piece, self._stored([axis], builder)]) for piece in pieces)

    def _write(self, node: onnx.NodeProto, builder: NodeBuilder) -> bool:
        """Write what a node reads of a sequence or optional value; False where that is not known."""
        source, output = node.input[0] if node.input else "", node.output[0]
        if node.op_type.startswith("Optional"):
            return self._open(node, source, builder)
        items = self._sequences.get(source)
        if items is None:
            return False
        if node.op_type == "SequenceLength":
            builder.op("Constant", [], output, value_int=len(items))
        elif node.op_type == "SequenceAt":
            place = self._place(node, 1, 0)
            if place is None or not 0 <= place < len(items):
                return False
            builder.op("Identity", [items[place]], output)
        else:
            self._concat(node, items, builder)
        return True

    def _open(self, node: onnx.NodeProto, source: str, builder: NodeBuilder) -> bool:
        """OptionalHasElement and OptionalGetElement; what is no optional value counts as one that holds itself."""
        output = node.output[0]
        if source in self._sequences:
            held: Items | None = self._sequences[source]
            if node.op_type == "OptionalGetElement":
                self._sequences[output] = self._sequences[source]
                return False
        elif source in self._known.types.ranks or not source:
            held = (source,) if source else ()
        else:
            held = self._options.get(source)
        if held is None or (node.op_type == "OptionalGetElement" and not held):
            return False
        if node.op_type == "OptionalGetElement":
            builder.op("Identity", held, output)
        else:
            present = bool(held) or source in self._sequences
            builder.op("Constant", [], output, value=numpy_helper.from_array(np.array(present)))
        return True

    def _concat(self, node: onnx.NodeProto, items: Items, builder: NodeBuilder) -> None:
        """ConcatFromSequence, along an axis that is there or a new one."""
        options = attributes(node)
        axis = options["axis"]
        if options.get("new_axis", 0):
            axes = self._stored([axis], builder)
            items = tuple(builder.op("Unsqueeze", [item, axes]) for item in items)
        builder.op("Concat", items, node.output[0], axis=axis)

    def _stored(self, values: list[int], builder: NodeBuilder) -> str:
        return builder.op("Constant", [], value_ints=values)
