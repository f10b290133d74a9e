"""Find graded values that may often be exactly zero: what rectifiers let through, and what else products read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

import numpy as np
import onnx

from astroedge.exporters.graph.clean_graph import module_of
from astroedge.exporters.shared.labels import unique
from astroedge.step.graph_index import GraphIndex
from astroedge.step.operators import operators
from astroedge.step.spec import StateSpec, StepSpec
from astroedge.step.tensor_data import array_of

PRODUCTS = operators(lambda row: row.kind == "product")
MOVES = operators(lambda row: row.sparsity == "moved")
SUMS = operators(lambda row: row.bound in ("addition", "product", "quotient")) | MOVES


@dataclass(frozen=True)
class Graded:
    """A value that may be mostly zero: its readable name and the ONNX value."""

    name: str
    tensor: str


def find_activations(graph: onnx.GraphProto, taken: Collection[str]) -> list[Graded]:
    """Every rectifier's result, in graph order: of Relu, and of Clip and Max with a lower bound of zero.

    Each is named after the module that made it, or `activation`, apart from the names in `taken` and from each other.
    """
    zeros = {item.name for item in graph.initializer if not np.any(array_of(item))}
    found: list[Graded] = []
    for node in graph.node:
        if _rectifies(node, zeros):
            name = unique(module_of(node) or "activation", {*taken, *(item.name for item in found)})
            found.append(Graded(name, node.output[0]))
    return found


def find_unknown_operands(graph: onnx.GraphProto, spec: StepSpec, sparse: Collection[str]) -> list[Graded]:
    """What products read, in graph order, but for what is stored, an input, `sparse`, or measured in `spec` already.

    What sums up over the ticks is left out: it is zero only until something has come. Each is named after the state
    that it is picked from, or else after the module that made it.
    """
    index = GraphIndex(graph)
    makers = index.makers
    names = {state.input_name: state.name for state in spec.states}
    terms = _terms(graph, spec.states)
    summed = reduce(or_, (terms[item.input_name] & terms.get(item.output_name, 0) for item in spec.states), 0)
    known = {*index.stored, *sparse, *(item.name for item in spec.inputs)}
    taken = {item.name for item in (*spec.spikes, *spec.activations)}
    found: dict[str, Graded] = {}
    for value in (name for node in graph.node if node.op_type in PRODUCTS for name in node.input[:2]):
        if value in known | found.keys() or summed & terms.get(value, 0):
            continue
        origin = value
        while origin in makers and makers[origin].op_type in MOVES:
            origin = makers[origin].input[0]
        stem = names.get(origin) or (module_of(makers[value]) if value in makers else "")
        name = unique(stem or "activation", {*taken, *(item.name for item in found.values())})
        found[value] = Graded(name, value)
    return list(found.values())


def _terms(graph: onnx.GraphProto, states: Sequence[StateSpec]) -> dict[str, int]:
    """For each value the states that it is a sum of, through factors and moves: bit n for the n-th one."""
    terms = {state.input_name: 1 << number for number, state in enumerate(states)}
    for node in graph.node:
        if node.op_type in SUMS:
            terms |= dict.fromkeys(node.output, reduce(or_, (terms.get(name, 0) for name in node.input), 0))
    return terms


def _rectifies(node: onnx.NodeProto, zeros: Collection[str]) -> bool:
    """Whether a node replaces what is below zero by zero."""
    if node.op_type == "Relu":
        return True
    if node.op_type == "Clip":
        return len(node.input) > 1 and node.input[1] in zeros
    return node.op_type == "Max" and any(name in zeros for name in node.input)
