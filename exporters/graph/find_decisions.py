"""Find the decisions of a step: operators whose result jumps where an operand crosses an edge.

A comparison jumps at equality, Floor, Ceil, Round, quantisers and casts to whole numbers between two of them, Sign at
zero, a remainder at multiples of the divisor, ArgMax and TopK where two elements are equally large. Rounding decides
there, and two runtimes round differently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from astroedge.step.graph_index import GraphIndex, attributes, infer_types
from astroedge.step.operators import operator, operators
from astroedge.step.tensor_data import array_of

COMPARISONS = operators(lambda row: row.kind in ("comparison", "equality"))
STAIRCASES = operators(lambda row: row.kind == "staircase")
REMAINDER = "Mod"
QUANTISERS = frozenset({"QuantizeLinear", "DynamicQuantizeLinear"})
EXTREMES = operators(lambda row: row.kind == "arg reduction") | {"TopK"}
FLOATS = frozenset({TensorProto.FLOAT, TensorProto.DOUBLE})
HELD = FLOATS | {TensorProto.BOOL, TensorProto.INT32, TensorProto.INT64, TensorProto.UINT8, TensorProto.INT8}
"""Results that ONNX Runtime can choose between two of, element by element."""
DEFAULT_AXES = {"TopK": -1, "QuantizeLinear": 1}
KEEPS_WHOLE = operators(lambda row: row.bound == "movement") | {
    *("Abs", "Add", "Clip", "Max", "Min", "Mul", "Neg", "Relu", "Sub"),
}


@dataclass(frozen=True)
class Decision:
    """An operator that decides: the value it makes, its name in ONNX, and the values it decides on.

    `axis` is that of ArgMax and its kin, of TopK and of the scales of a quantiser, whose operands are what it rounds,
    its scale and its zero point, if it has one; `descending` is True where these look for the largest. `exact` is
    True where all operands are whole numbers by how they are made, which no rounding moves over an edge.
    """

    tensor: str
    operator: str
    operands: tuple[str, ...]
    axis: int = 0
    descending: bool = True
    exact: bool = False


def find_decisions(model: onnx.ModelProto) -> list[Decision]:
    """Every decision on floats, and every comparison, in graph order, whether it makes spikes or not."""
    elements = infer_types(model).elements
    whole = _WholeNumbers(model, elements)
    found = []
    for node in model.graph.node:
        comparison = node.op_type in COMPARISONS and operator(node.op_type).kind == "comparison"
        if not (comparison or _decides(node, elements)):
            continue
        operands = _operands(node)
        exact = all(whole(name) for name in operands) and node.op_type not in QUANTISERS
        if comparison or not exact:
            details = attributes(node)
            found.append(
                Decision(
                    _decided(node),
                    node.op_type,
                    operands,
                    details.get("axis", DEFAULT_AXES.get(node.op_type, 0)),
                    node.op_type != "ArgMin" and bool(details.get("largest", 1)),
                    exact,
                )
            )
    return found


def _operands(node: onnx.NodeProto) -> tuple[str, ...]:
    """What a node decides on."""
    if node.op_type == "DynamicQuantizeLinear":
        return (node.input[0], *node.output[1:])
    if node.op_type == "QuantizeLinear":
        return tuple(name for name in node.input[:3] if name)
    return tuple(node.input[: 2 if node.op_type in COMPARISONS | {REMAINDER} else 1])


def _decided(node: onnx.NodeProto) -> str:
    """The output that jumps: of TopK the places, of a quantiser the whole numbers."""
    decided: str = node.output[0 if node.op_type in QUANTISERS else -1]
    return decided


def decisions_behind(graph: onnx.GraphProto, decisions: list[Decision]) -> dict[str, frozenset[str]]:
    """For each value of the graph, the decisions that it depends on."""
    decided = {item.tensor for item in decisions}
    behind: dict[str, frozenset[str]] = {}
    for node in graph.node:
        above = frozenset().union(*(behind.get(name, frozenset()) for name in node.input))
        for name in node.output:
            behind[name] = above | ({name} & decided)
    return behind


def _decides(node: onnx.NodeProto, elements: Mapping[str, int]) -> bool:
    """Whether a node other than an order comparison decides on floats, with a result that can be taken over."""
    if elements.get(node.input[0] if node.input else "") not in FLOATS:
        return False
    if elements.get(_decided(node)) not in HELD or attributes(node).get("block_size"):
        return False
    if node.op_type == "Cast":
        return elements[node.output[0]] not in FLOATS
    return node.op_type in COMPARISONS | STAIRCASES | EXTREMES | QUANTISERS | {REMAINDER}


class _WholeNumbers:
    """Which values are whole numbers, however their operands are rounded."""

    def __init__(self, model: onnx.ModelProto, elements: Mapping[str, int]) -> None:
        self._stored = GraphIndex(model.graph).stored
        self._elements = elements
        self._known: dict[str, bool] = {}
        for node in model.graph.node:  # in order, so that no chain of operators is too deep
            if node.op_type in STAIRCASES:
                self._known |= dict.fromkeys(node.output, True)
            elif node.op_type in KEEPS_WHOLE:
                self._known |= dict.fromkeys(node.output, all(self(name) for name in node.input if name))

    def __call__(self, name: str) -> bool:
        if self._elements.get(name) not in FLOATS | {TensorProto.FLOAT16}:
            return True
        if name not in self._known:
            self._known[name] = name in self._stored and self._holds_whole(name)
        return self._known[name]

    def _holds_whole(self, name: str) -> bool:
        array = array_of(self._stored[name])
        return bool(np.all(array == np.floor(array)))
