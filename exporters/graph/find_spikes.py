"""Find the spike tensors of a step: Booleans that come from comparisons and become numbers 0 and 1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from astroedge.exporters.graph.clean_graph import module_of
from astroedge.exporters.shared.labels import unique
from astroedge.step.graph_index import GraphIndex
from astroedge.step.operators import operator, operators
from astroedge.step.spec import StateSpec
from astroedge.step.tensor_data import array_of, data_bytes

COMPARISONS = operators(lambda row: row.kind == "comparison")
LOGIC = operators(lambda row: row.kind == "logic")
SMALL = 4096  # bytes; a larger constant is not looked into
SAME_ELEMENTS = operators(lambda row: row.kind in ("copy", "reshape", "permutation"))


@dataclass(frozen=True)
class Spikes:
    """A spike tensor: its name and the Boolean value that is true where a neuron fires."""

    name: str
    tensor: str


def find_spikes(graph: onnx.GraphProto, states: tuple[StateSpec, ...]) -> list[Spikes]:
    """Every spike tensor of a cleaned graph, in graph order, with a unique readable name.

    A spike tensor is the Boolean that is cast to numbers, chooses a spike's height (`where(fired, 2, 0)`), or is an
    output or next state itself: a comparison, or what logic makes of comparisons (a neuron that is above threshold and
    not refractory). What compares inputs alone, and is neither read by a product nor an output, is a gate and none.

    It is named after the module that
    made it, plus `.spike`; where a module makes several, after the state that is compared, or else after the module
    whose result is compared.
    """
    index = GraphIndex(graph)
    makers = index.makers
    heights = find_heights(graph)
    wanted = {value.name for value in graph.output} | heights.keys()
    wanted |= {node.input[0] for node in graph.node if node.op_type == "Cast"}
    fired = [node for node in graph.node if node.output[0] in wanted and _comparisons(makers, node.output[0])]
    carried = {state.input_name for state in states}
    fixed = {value.name for value in graph.input if value.name not in carried} | index.stored.keys()
    fired = [node for node in fired if not _is_gate(index, node.output[0], fixed, {*heights.values()})]
    per_module = Counter(module_of(node) for node in fired)
    found: list[Spikes] = []
    for node in fired:
        module = module_of(node)
        stem = module if per_module[module] == 1 else _source(makers, node, states) or module
        name = unique(f"{stem}.spike" if stem else "spike", {spikes.name for spikes in found})
        found.append(Spikes(name, node.output[0]))
    return found


def find_heights(graph: onnx.GraphProto) -> dict[str, str]:
    """The Booleans that choose between a number and zero, or another such choice, each with the value chosen.

    `where(v > 1, 1, where(v < -1, -1, 0))` are spikes of three values, `where(fired, 2, 0)` spikes of height 2; where a
    choice keeps what else there is, as a reset does, nothing fires.
    """
    stored = GraphIndex(graph).stored
    small = (name for name, tensor in stored.items() if tensor.HasField("raw_data") and 0 < data_bytes(tensor) <= SMALL)
    numbers = {name: np.unique(array_of(stored[name])).tolist() for name in small}
    chosen: dict[str, str] = {}
    silent = {name for name, values in numbers.items() if values == [0]}
    for node in graph.node:
        if node.op_type != "Where" or node.input[2] not in silent:
            continue
        if len(numbers.get(node.input[1], [])) == 1 and node.input[1] not in silent:
            chosen.setdefault(node.input[0], node.output[0])
            silent.add(node.output[0])
    return chosen


def find_reset_copies(graph: onnx.GraphProto, spikes: Sequence[Spikes], states: tuple[StateSpec, ...]) -> set[str]:
    """The names of spike tensors that only say again what a neuron decided before.

    Such a one compares a state as it comes in, while another compares what this tick makes of that state, as with
    snnTorch's reset signal: whether a neuron fires shows in the other. With a reset at once the copy is silent, unless
    a membrane stays above its threshold.
    """
    index = GraphIndex(graph)
    makers, stored = index.makers, index.initialisers
    carried = {state.input_name for state in states}
    read = {
        item.name: {
            source
            for comparison in _comparisons(makers, item.tensor)
            for value in comparison.input
            for source in _elementwise_sources(makers, value)
            if source not in stored
        }
        for item in spikes
    }
    return {
        name
        for name, sources in read.items()
        if len(sources) == 1
        and sources <= carried
        and any(sources < others for other, others in read.items() if other != name)
    }


def _is_gate(index: GraphIndex, value: str, fixed: set[str], heights: set[str]) -> bool:
    """Whether a Boolean compares only what is `fixed` from outside, element by element, and only gates something.

    A threshold over an input is a spike tensor where a product reads it, as a number or one of the choices `heights`,
    or where that is an output.
    """
    compared = {operand for comparison in _comparisons(index.makers, value) for operand in comparison.input}
    if not all(source in fixed for operand in compared for source in _elementwise_sources(index.makers, operand)):
        return False
    waiting, gates = [value], False
    while waiting:
        name = waiting.pop()
        if name in index.leaving:
            return False
        for reader, _ in index.readers.get(name, ()):
            if operator(reader.op_type).kind == "product":
                return False
            same = reader.op_type == "Cast" or reader.op_type in SAME_ELEMENTS or reader.output[0] in heights
            waiting += reader.output if same else []
            gates = gates or not same
    return gates


def _comparisons(makers: dict[str, onnx.NodeProto], value: str) -> list[onnx.NodeProto]:
    """The comparisons that a Boolean value is made of; none if it is made of something else, too.

    What else an And reads only holds spikes back: a refractory counter that is 0, a mask, a Boolean state.
    """
    found: dict[str, dict[str, onnx.NodeProto]] = {}
    waiting = [value]
    while waiting:
        node = makers.get(waiting[-1])
        operands = _operands(node)
        unknown = [name for name in operands if name not in found]
        if unknown:
            waiting += reversed(unknown)
            continue
        parts = [found[name] for name in operands]
        whole = any(parts) if node is not None and node.op_type == "And" else all(parts)
        merged = {name: comparison for part in parts for name, comparison in part.items()} if whole else {}
        compares = node is not None and node.op_type in COMPARISONS
        found[waiting.pop()] = {node.output[0]: node} if node is not None and compares else merged
    return list(found[value].values())


def _operands(node: onnx.NodeProto | None) -> list[str]:
    """What a Boolean is made of by logic or by moving its elements."""
    if node is None or node.op_type not in LOGIC | SAME_ELEMENTS:
        return []
    return list(node.input if node.op_type in LOGIC else node.input[:1])


def _source(makers: dict[str, onnx.NodeProto], spikes: onnx.NodeProto, states: tuple[StateSpec, ...]) -> str:
    """The state that reaches the comparison element by element, else the module that made what is compared."""
    names = {state.input_name: state.name for state in states}
    modules = []
    for comparison in _comparisons(makers, spikes.output[0]):
        for value in _elementwise_sources(makers, comparison.input[0]):
            if value in names:
                return names[value]
            if value in makers and module_of(makers[value]) != module_of(spikes):
                modules.append(module_of(makers[value]))
    return modules[0] if modules else ""


def _elementwise_sources(makers: dict[str, onnx.NodeProto], value: str) -> Iterator[str]:
    """The values from which `value` is made element by element, each once, from the first operand on."""
    seen, waiting = {value}, [value]
    while waiting:
        name = waiting.pop()
        node = makers.get(name)
        if node is None or not operator(node.op_type).traced:
            yield name
            continue
        new = [operand for operand in dict.fromkeys(node.input) if operand not in seen]
        seen.update(new)
        waiting += reversed(new)
