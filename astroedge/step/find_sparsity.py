"""Which values of a step graph are mostly zero, and how often each fires.

A spike tensor is followed through every operator that leaves zeros of it, by the column `sparsity` of the operator
table: element by element (sparse_elements.py), on whole tensors (sparse_layers.py), and in tensors of which only a part
is sparse (sparse_parts.py). So is what export measured to be mostly zero, and an input that it measured so, or was told
of. A state whose next value is sparse and that starts at rest is sparse too (recurrent and delayed spikes), which is
found by repeating the walk until nothing changes around the loop.

Only a Boolean inside the step proves that a value is exactly 0 or 1. States and inputs can be set to anything by the
user, so they count as graded: their kernels multiply by the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from astroedge.host_package import require
from astroedge.step.graph_index import GraphIndex, infer_types
from astroedge.step.operators import operator
from astroedge.step.sparse_elements import Elementwise
from astroedge.step.sparse_layers import Layer, keeps_ones, through_layer
from astroedge.step.sparse_parts import Parts, through_parts
from astroedge.step.sparsity import Resting, Sparsity
from astroedge.step.spec import StepSpec

if TYPE_CHECKING:
    import onnx
    from onnx import numpy_helper
else:
    onnx = require("onnx", "reading a step graph")
    numpy_helper = require("onnx.numpy_helper", "reading a step graph")


def find_sparsity(model: onnx.ModelProto, spec: StepSpec) -> dict[str, Sparsity]:
    """Map the sparse values of a step graph to what is known of them."""
    walk = _Walk(model, spec)
    walk.run()
    return {
        name: Sparsity(found.source, found.rate, name in walk.binary)
        for name, found in walk.known.items()
        if found.rest == 0
    }


class _Walk:
    """What is known of values by name: those at rest, those in parts, and those of zeros and ones."""

    def __init__(self, model: onnx.ModelProto, spec: StepSpec) -> None:
        self.nodes = list(model.graph.node)
        self.opsets = list(model.opset_import)
        self.spec = spec
        self.types = infer_types(model)
        index = GraphIndex(model.graph)
        self.makers = index.makers
        self.stored = _Arrays(index.stored)
        self.calls: dict[str, Elementwise] = {}
        self.binary = {name for name, kind in self.types.elements.items() if kind == onnx.TensorProto.BOOL}
        self.measured = {
            item.tensor: Resting(item.name, item.firing_rate) for item in (*spec.activations, *spec.spikes)
        }
        rated = ((item.name, item.firing_rate) for item in spec.inputs)
        self.given = {name: Resting(name, rate) for name, rate in rated if rate is not None}
        self.given |= {name: found for name, found in self.measured.items() if name not in self.makers}
        self.known: dict[str, Resting] = {}
        self.parts: dict[str, Parts] = {}

    def run(self) -> None:
        """Walk the step until no further state turns out to be sparse, whole or in parts."""
        held: dict[str, Parts] = {}
        while True:
            self.known, self.parts = dict(self.given), dict(held)
            for node in self.nodes:
                self._visit(node)
            before = len(self.given), len(held)
            for state in self.spec.states:
                after, parts = self.known.get(state.output_name), self.parts.get(state.output_name)
                if after is not None and state.initial == after.rest:
                    self.given.setdefault(state.input_name, after)
                elif parts is not None and state.initial == 0 and state.input_name not in self.given:
                    held[state.input_name] = parts
            if (len(self.given), len(held)) == before:
                return

    def _visit(self, node: onnx.NodeProto) -> None:
        """Note what one node makes."""
        row = operator(node.op_type)
        layer = Layer(node, self.types.shapes, self.stored, self.known)
        if row.sparsity == "elementwise":
            found = self._element_by_element(node, layer) or self._straight_through(node)
        else:
            found = through_layer(layer) if any(name in self.known for name in node.input) else None
            self._cut(layer, through_parts(layer, self.parts, None))
            if row.sparsity and all(name in self.binary for name in self._data(node)) and keeps_ones(layer):
                self.binary.update(node.output)
        for number, name in enumerate(node.output):
            rest = self.measured.get(name) or (found if number == 0 or node.op_type == "Split" else None)
            if rest is not None:
                self.known[name] = rest

    def _element_by_element(self, node: onnx.NodeProto, layer: Layer) -> Resting | None:
        name = node.output[0]
        told = [item for item in node.input if item in self.known or item in self.parts or item in self.binary]
        if not told or not {*filter(None, node.input), name} <= self.types.elements.keys():
            return None
        if name not in self.calls:
            constants = {item: self.stored[item] for item in node.input if item in self.stored}
            self.calls[name] = Elementwise(node, constants, self.types.elements, self.types.ranks, self.opsets)
        call = self.calls[name]
        if name not in self.binary and call.keeps_binary(self.binary.__contains__):
            self.binary.add(name)
        self._cut(layer, through_parts(layer, self.parts, call.rest))
        return call.rest(self.known)

    def _cut(self, layer: Layer, results: list[Parts | None]) -> None:
        """Note results in parts; one whose pieces are all sparse is sparse."""
        for name, parts in zip(layer.node.output, results, strict=False):
            whole = parts.whole() if parts is not None else None
            if whole is not None:
                self.known[name] = whole
            elif parts is not None and any(parts.pieces):
                self.parts[name] = parts

    def _data(self, node: onnx.NodeProto) -> list[str]:
        """The operands whose elements are in the result."""
        if operator(node.op_type).sparsity == "written":
            return [node.input[0], node.input[2]]
        return list(node.input) if operator(node.op_type).sparsity == "beside" else list(node.input[:1])

    def _straight_through(self, node: onnx.NodeProto) -> Resting | None:
        """What `(spike - soft) + soft` and `(spike + soft) - soft` make: exactly 0 where the spike is 0.

        Where it is 1 they are 1 up to rounding. Where `soft` is infinite or NaN so is the result: an event kernel reads
        it like any value but 0.
        """
        for changed, soft in (node.input, node.input[::-1]) if node.op_type in ("Add", "Sub") else ():
            maker = self.makers.get(changed)
            if maker is None or {maker.op_type, node.op_type} != {"Add", "Sub"} or soft not in maker.input:
                continue
            spike = maker.input[1] if maker.input[0] == soft else maker.input[0]
            undone = maker.input[1] == soft if node.op_type == "Add" else node.input[1] == soft
            if undone and spike in self.known and self.known[spike].rest == 0:
                return self.known[spike]
        return None


class _Arrays(Mapping[str, NDArray[Any]]):
    """Stored tensors as arrays, each read when it is asked for."""

    def __init__(self, tensors: Mapping[str, onnx.TensorProto]) -> None:
        self._tensors = tensors

    def __getitem__(self, name: str) -> NDArray[Any]:
        return numpy_helper.to_array(self._tensors[name])

    def __iter__(self) -> Any:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)
