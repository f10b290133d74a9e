"""Find what rectifiers let through: graded values that are often exactly zero."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from astroedge.exporters.graph.clean_graph import module_of
from astroedge.exporters.shared.labels import unique


@dataclass(frozen=True)
class Rectified:
    """The result of a rectifier: its name and the ONNX value."""

    name: str
    tensor: str


def find_activations(graph: onnx.GraphProto, taken: Collection[str]) -> list[Rectified]:
    """Every rectifier's result, in graph order: of Relu, and of Clip and Max with a lower bound of zero.

    Each is named after the module that made it, or `activation`, apart from the names in `taken` and from each other.
    """
    zeros = {item.name for item in graph.initializer if not np.any(numpy_helper.to_array(item))}
    found: list[Rectified] = []
    for node in graph.node:
        if _rectifies(node, zeros):
            name = unique(module_of(node) or "activation", {*taken, *(item.name for item in found)})
            found.append(Rectified(name, node.output[0]))
    return found


def _rectifies(node: onnx.NodeProto, zeros: Collection[str]) -> bool:
    """Whether a node replaces what is below zero by zero."""
    if node.op_type == "Relu":
        return True
    if node.op_type == "Clip":
        return len(node.input) > 1 and node.input[1] in zeros
    return node.op_type == "Max" and any(name in zeros for name in node.input)
