"""Find the spike tensors of a step: comparisons whose Boolean result becomes numbers 0 and 1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import onnx
from onnx import numpy_helper

from astroedge.exporters.names import unique
from astroedge.exporters.tidy import module_of
from astroedge.step_spec import StateSpec

COMPARISONS = frozenset({"Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
LOGIC = frozenset({"Not", "And", "Or", "Xor", "Identity", "Reshape", "Unsqueeze", "Squeeze", "Transpose", "Flatten"})
ELEMENTWISE = frozenset({"Add", "Sub", "Mul", "Div", "Neg", "Identity", "Where", "Cast", "Clip", "Min", "Max"})


@dataclass(frozen=True)
class Spikes:
    """A spike tensor: its name, the Boolean value, and the two values that are compared."""

    name: str
    tensor: str
    left: str
    right: str


def find_spikes(graph: onnx.GraphProto, states: tuple[StateSpec, ...]) -> list[Spikes]:
    """Every spike tensor of a tidy graph, in graph order, with a unique readable name.

    The name is the path of the module that compares plus `.spike`; where a module compares more than once it is the
    state whose value is compared, or else the module that made the value, plus `.spike`.
    """
    constants = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer if len(tensor.raw_data) <= 16
    }
    outputs = {value.name for value in graph.output}
    nodes = [
        node
        for node in graph.node
        if node.op_type in COMPARISONS and _becomes_number(graph, node.output[0], constants, outputs)
    ]
    per_module = Counter(module_of(node) for node in nodes)
    found: list[Spikes] = []
    for node in nodes:
        module = module_of(node)
        stem = module if per_module[module] == 1 else _source(graph, node, states) or module
        name = unique(f"{stem}.spike" if stem else "spike", {spikes.name for spikes in found})
        found.append(Spikes(name, node.output[0], node.input[0], node.input[1]))
    return found


def _becomes_number(graph: onnx.GraphProto, value: str, constants: dict[str, object], outputs: set[str]) -> bool:
    """Whether a Boolean becomes numbers by a cast or a choice of 1 and 0, or leaves the step, maybe after some
    logic.
    """
    if value in outputs:
        return True
    for node in graph.node:
        if value not in node.input:
            continue
        if node.op_type == "Cast":
            return True
        if node.op_type == "Where" and node.input[0] == value and _one_and_zero(node, constants):
            return True
        if node.op_type in LOGIC and _becomes_number(graph, node.output[0], constants, outputs):
            return True
    return False


def _one_and_zero(node: onnx.NodeProto, constants: dict[str, object]) -> bool:
    """Whether a Where chooses between the constants 1 and 0."""
    branches = [constants.get(name) for name in node.input[1:]]
    return all(branch is not None for branch in branches) and sorted(float(branch) for branch in branches) == [0.0, 1.0]  # type: ignore[arg-type]


def _source(graph: onnx.GraphProto, comparison: onnx.NodeProto, states: tuple[StateSpec, ...]) -> str:
    """The state that reaches the comparison element by element, else the module that made what is compared."""
    makers = {output: node for node in graph.node for output in node.output}
    names = {state.input_name: state.name for state in states}
    modules = []
    for value in _elementwise_sources(makers, comparison.input[0]):
        if value in names:
            return names[value]
        if value in makers and module_of(makers[value]) != module_of(comparison):
            modules.append(module_of(makers[value]))
    return modules[0] if modules else ""


def _elementwise_sources(makers: dict[str, onnx.NodeProto], value: str) -> Iterator[str]:
    """The values from which `value` is made element by element."""
    node = makers.get(value)
    if node is None or node.op_type not in ELEMENTWISE:
        yield value
        return
    for name in node.input:
        yield from _elementwise_sources(makers, name)
