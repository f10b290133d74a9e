"""Values without elements: nothing computes them, and what reads them alone is known beforehand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from astroedge.step.graph_index import GraphIndex, ValueTypes, replace_items

JOINED = ("Concat",)
WRITTEN = ("ScatterElements", "ScatterND")  # their first operand is the result where nothing is written


def drop_empty(model: onnx.ModelProto, types: ValueTypes) -> bool:
    """Fold what has to do with values of no elements in the graph of `model`, in place; whether anything changed.

    Requires: `types` is what ONNX infers of the values. Ensures: no node makes values without elements of known shape
    alone, and none whose operands are all stored or without elements is left; parts of a Concat and writes of no
    elements are gone.
    """
    if not any(0 in shape for shape in types.shapes.values()):
        return False
    graph, folder = model.graph, _Folder(model, types)
    nodes = [kept for node in graph.node if (kept := folder.kept(node)) is not None]
    changed = len(nodes) != len(graph.node) or any(node is not old for node, old in zip(nodes, graph.node, strict=True))
    replace_items(graph.node, nodes)
    graph.initializer.extend(folder.made.values())
    return changed


class _Folder:
    """One walk over a graph, which collects in `made` what is known."""

    def __init__(self, model: onnx.ModelProto, types: ValueTypes) -> None:
        self.made: dict[str, onnx.TensorProto] = {}
        self._opsets, self._types = model.opset_import, types
        self._stored = GraphIndex(model.graph).stored

    def kept(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """The node, one that stands for it, or None where its results are known."""
        results = [name for name in node.output if name]
        if results and all(self._is_empty(name) for name in results):
            self.made.update((name, self._nothing(name)) for name in results)
            return None
        if not any(self._is_empty(name) for name in node.input):
            return node
        if node.op_type in JOINED:
            parts = [name for name in node.input if not self._is_empty(name)]
            return _instead(node, parts, "Concat" if len(parts) > 1 else "Identity")
        if node.op_type in WRITTEN and self._is_empty(node.input[2]):
            return _instead(node, node.input[:1], "Identity")
        known = {name: self._constant(name) for name in node.input if name}
        if any(item is None for item in known.values()):
            return node
        values = self._computed(node, {name: item for name, item in known.items() if item is not None})
        self.made.update((name, numpy_helper.from_array(values[name], name)) for name in results)
        return None

    def _is_empty(self, name: str) -> bool:
        return 0 in self._types.shapes.get(name, ())

    def _nothing(self, name: str) -> onnx.TensorProto:
        dtype = helper.tensor_dtype_to_np_dtype(self._types.elements[name])
        return numpy_helper.from_array(np.empty(self._types.shapes[name], dtype), name)

    def _constant(self, name: str) -> onnx.TensorProto | None:
        """What is known of an operand: it is stored, or has no elements."""
        return self._stored.get(name) or self.made.get(name) or (self._nothing(name) if self._is_empty(name) else None)

    def _computed(self, node: onnx.NodeProto, known: Mapping[str, onnx.TensorProto]) -> dict[str, np.ndarray]:
        """The results of a node whose operands are known, as ONNX's own evaluator has them."""
        names = [name for name in node.output if name]
        outputs = [onnx.ValueInfoProto(name=name) for name in names]
        graph = helper.make_graph([node], "empty", [], outputs, list(known.values()))
        with np.errstate(all="ignore"):
            evaluator = ReferenceEvaluator(helper.make_model(graph, opset_imports=self._opsets))
            values = evaluator.run(names, {})
        return {
            name: np.asarray(value, helper.tensor_dtype_to_np_dtype(self._types.elements[name]))
            for name, value in zip(names, values, strict=True)
        }


def _instead(node: onnx.NodeProto, inputs: list[str], kind: str) -> onnx.NodeProto:
    """The node with other operands; an Identity has no attributes."""
    attributes = node.attribute if kind == node.op_type else ()
    copy = helper.make_node(kind, list(inputs), list(node.output), name=node.name)
    copy.attribute.extend(attributes)
    return copy
