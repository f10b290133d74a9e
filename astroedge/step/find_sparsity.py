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
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astroedge.host_package import require
from astroedge.step.graph_index import GraphIndex, infer_types
from astroedge.step.operators import operator
from astroedge.step.sparse_elements import MOST_VALUES, Elementwise
from astroedge.step.sparse_layers import Layer, keeps_values, rearranges, through_layer
from astroedge.step.sparse_parts import Parts, through_parts
from astroedge.step.sparsity import Resting, Sparsity
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from astroedge.step.tensor_data import array_of

if TYPE_CHECKING:
    import onnx
    from onnx import numpy_helper
else:
    onnx = require("onnx", "reading a step graph")
    numpy_helper = require("onnx.numpy_helper", "reading a step graph")


MOST_WALKS = 100  # a line of delays in one state becomes known place by place
ZERO_OR_POWER = frozenset((0.0, *(2.0**exponent for exponent in range(8))))
ZERO_OR_ONE, SPIKES = frozenset((0.0, 1.0)), frozenset((-1.0, 0.0, 1.0))


def find_sparsity(model: onnx.ModelProto, spec: StepSpec) -> dict[str, Sparsity]:
    """Map the sparse values of a step graph to what is known of them."""
    walk = _Walk(model, spec)
    walk.run()
    return {
        name: Sparsity(
            found.source,
            found.rate,
            binary=walk.is_binary(name),
            spiking=walk.is_spiking(name),
            whole=found.whole,
            exact=walk.is_exact(name),
        )
        for name, found in walk.known.items()
        if found.rest == 0
    }


class _Walk:
    """What is known of values by name: those at rest, those in parts, and those that are one of few numbers.

    `proven` are those of the last whose numbers do not depend on what states and inputs are set to.
    """

    def __init__(self, model: onnx.ModelProto, spec: StepSpec) -> None:
        self.nodes = list(model.graph.node)
        self.opsets = list(model.opset_import)
        self.spec = spec
        self.types = infer_types(model)
        index = GraphIndex(model.graph)
        self.makers = index.makers
        self.stored = _Arrays(index.stored)
        self.calls: dict[str, Elementwise] = {}
        rested = [Resting(item.name, item.firing_rate, whole=True) for item in (*spec.activations, *spec.spikes)]
        tensors = [item.tensor for item in (*spec.activations, *spec.spikes)]
        self.measured = dict(zip(tensors, rested, strict=True))
        self.given = {
            item.name: Resting(item.name, item.firing_rate, whole=True)
            for item in spec.inputs
            if item.firing_rate is not None
        }
        self.given |= {name: found for name, found in self.measured.items() if name not in self.makers}
        self.booleans = {name for name, kind in self.types.elements.items() if kind == onnx.TensorProto.BOOL}
        self.seeds = {item.name: SPIKES for item in spec.inputs if item.firing_rate is not None and _of_spikes(item)}
        starts = {state.input_name: state.initial for state in spec.states if state.initial is not None}
        self.seeds |= {name: frozenset((start,)) for name, start in starts.items()}
        self.seeds |= dict.fromkeys(self.booleans, ZERO_OR_ONE)
        self.values: dict[str, frozenset[float]] = {}
        self.proven: set[str] = set()
        self.known: dict[str, Resting] = {}
        self.parts: dict[str, Parts] = {}

    def is_binary(self, name: str) -> bool:
        """Whether a value is exactly 0 or 1 whatever the user does."""
        return name in self.proven and self.values.get(name, SPIKES) <= ZERO_OR_ONE

    def is_exact(self, name: str) -> bool:
        """Whether a value is 0 or a power of two, no fraction, whatever the user does."""
        return name in self.proven & self.values.keys() and {*map(abs, self.values[name])} <= ZERO_OR_POWER

    def is_spiking(self, name: str) -> bool:
        """Whether what is not zero has one magnitude."""
        return name in self.values and len({abs(value) for value in self.values[name]} - {0.0}) <= 1

    def run(self) -> None:
        """Walk the step until no further state turns out to be sparse, whole or in parts, or to have other values."""
        held: dict[str, Parts] = {}
        for _ in range(MOST_WALKS):
            self.known, self.parts = dict(self.given), dict(held)
            self.values, self.proven = dict(self.seeds), set(self.booleans)
            for node in self.nodes:
                self._visit(node)
            changed = [self._carry_over(state, held) for state in self.spec.states]
            if not any(changed):
                return

    def _carry_over(self, state: StateSpec, held: dict[str, Parts]) -> bool:
        """Know of a state what is known of its next value, if it starts at rest; whether that is anything new."""
        name, after, parts = state.input_name, self.known.get(state.output_name), self.parts.get(state.output_name)
        changed = self._carry_values(state)
        if name in self.given:
            return changed
        if after is not None and state.initial == after.rest:
            self.given[name] = replace(after, whole=False)
            return True
        if parts is None or state.initial != 0 or (name in held and held[name].dense == parts.dense):
            return changed
        held[name] = parts
        return True

    def _carry_values(self, state: StateSpec) -> bool:
        """Add what a state's next value can be to what it can be; whether that is anything new."""
        before, after = self.seeds.get(state.input_name), self.values.get(state.output_name)
        if before is None or (after is not None and after <= before):
            return False
        merged = None if after is None else before | after
        if merged is None or len(merged) > MOST_VALUES:
            del self.seeds[state.input_name]
        else:
            self.seeds[state.input_name] = merged
        return True

    def _visit(self, node: onnx.NodeProto) -> None:
        """Note what one node makes; of an operator that is not ONNX's nothing is known."""
        layer = Layer(node, self.types.shapes, self.stored, self.known)
        if node.domain not in ("", "ai.onnx"):
            found = None
        elif operator(node.op_type).sparsity == "elementwise":
            found = self._element_by_element(node, layer) or self._straight_through(node)
        else:
            found = through_layer(layer) if any(name in self.known for name in node.input) else None
            self._cut(layer, through_parts(layer, self.parts, None))
            self._move_values(node, layer)
        for number, name in enumerate(node.output):
            rest = found if number == 0 or node.op_type == "Split" else None
            if rest is not None:
                rest = replace(rest, whole=rest.whole and rearranges(layer))
            rest = self.measured.get(name) or rest
            if rest is not None:
                self.known[name] = rest

    def _element_by_element(self, node: onnx.NodeProto, layer: Layer) -> Resting | None:
        name = node.output[0]
        told = [item for item in node.input if item in self.known or item in self.parts or item in self.values]
        if node.op_type == "Sign":
            self.values.setdefault(name, SPIKES)
        read = {*filter(None, node.input)}
        if not told or not {*read, name} <= self.types.elements.keys() or not read <= self.types.ranks.keys():
            return None
        if name not in self.calls:
            constants = {item: self.stored[item] for item in node.input if item in self.stored}
            self.calls[name] = Elementwise(node, constants, self.types.elements, self.types.ranks, self.opsets)
        call = self.calls[name]
        exact = operator(node.op_type).rounding == "exact" and not operator(node.op_type).functions
        values = call.values(self.values) or (SPIKES if node.op_type == "Sign" else None)
        self._note(name, values, exact and self.proven.issuperset(call.varying))
        self._cut(layer, through_parts(layer, self.parts, call.rest))
        return call.rest(self.known)

    def _move_values(self, node: onnx.NodeProto, layer: Layer) -> None:
        """What is one of few numbers still is where elements are only moved, picked or padded."""
        operands = self._data(node)
        if not any(name in self.values for name in operands):
            return
        sets = [self._values_of(name) for name in operands]
        few = [item for item in sets if item is not None] if keeps_values(layer) else []
        merged = frozenset((0.0,)).union(*few) if few and len(few) == len(sets) else None
        merged = merged if merged is None or len(merged) <= MOST_VALUES else None
        for name in node.output if node.op_type == "Split" else node.output[:1]:
            self._note(name, merged, self.proven.issuperset(set(operands) - self.stored.keys()))

    def _values_of(self, name: str) -> frozenset[float] | None:
        """The few numbers that a value, or a stored tensor, holds; None if it may hold more."""
        if name not in self.stored:
            return self.values.get(name)
        numbers = np.unique(self.stored[name])
        few = 0 < len(numbers) <= MOST_VALUES and numbers.dtype.kind in "biuf" and np.isfinite(numbers).all()
        return frozenset(map(float, numbers)) if few else None

    def _note(self, name: str, values: frozenset[float] | None, proven: bool) -> None:
        """Keep the numbers that a value can be, and whether that is so whatever the user does."""
        if values is not None:
            self.values[name] = values
            self.proven |= {name} if proven else set()

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
                self._note(node.output[0], self.values.get(spike), proven=False)
                return self.known[spike]
        return None


def _of_spikes(item: TensorSpec) -> bool:
    """Whether the example data of an input had no other magnitude than 1, as far as export says."""
    if item.values is not None:
        return {abs(value) for value, _ in item.values} <= {0.0, 1.0}
    return item.span in (None, 1.0)


class _Arrays(Mapping[str, NDArray[Any]]):
    """Stored tensors as arrays, each read when it is asked for."""

    def __init__(self, tensors: Mapping[str, onnx.TensorProto]) -> None:
        self._tensors = tensors

    def __getitem__(self, name: str) -> NDArray[Any]:
        return array_of(self._tensors[name])

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __iter__(self) -> Any:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)
