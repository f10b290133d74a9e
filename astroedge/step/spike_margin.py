"""How far a neuron is from firing otherwise: the margin of a spike tensor, as nodes of its graph.

A spike made by one comparison of floats has the margin left minus right: membrane minus threshold. One made of several,
such as `(v >= threshold) & (refractory <= 0)`, has the smallest distance of any of them, which says as well whether
rounding can have decided it. A spike that no comparison of floats makes has none: rounding cannot decide it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from astroedge.host_package import require
from astroedge.step.operators import operators
from astroedge.step.spec import SpikeSpec

if TYPE_CHECKING:
    import onnx
    from onnx import helper
else:
    onnx = require("onnx", "reading a step graph")
    helper = require("onnx.helper", "reading a step graph")

COMPARISONS = operators(lambda row: row.kind == "comparison")
LOGIC = operators(lambda row: row.kind in ("logic", "cast", "copy"))


def float_comparisons(
    tensor: str, makers: Mapping[str, onnx.NodeProto], is_float: Callable[[str], bool]
) -> list[onnx.NodeProto]:
    """The comparisons of floats that decide `tensor`, through logic and casts, each once, in the order they are met.

    `makers` has the node that makes each value.
    """
    found: dict[str, onnx.NodeProto] = {}
    waiting = [tensor]
    while waiting:
        node = makers.get(waiting.pop(0))
        if node is None:
            continue
        if node.op_type in COMPARISONS and all(is_float(side) for side in node.input):
            found.setdefault(node.output[0], node)
        elif node.op_type in LOGIC:
            waiting += node.input
    return list(found.values())


def margin_nodes(spike: SpikeSpec, comparisons: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Nodes that compute `margin.<name>`, float32 and of the spike tensor's shape, from its comparisons."""
    name = f"margin.{spike.name}"
    nodes, differences = [], []
    for number, comparison in enumerate(comparisons):
        sides = [f"{name}.{number}.{side}" for side in ("left", "right")]
        differences.append(name if len(comparisons) == 1 else f"{name}.{number}")
        for operand, side in zip(comparison.input, sides, strict=True):
            nodes.append(helper.make_node("Cast", [operand], [side], to=onnx.TensorProto.FLOAT))
        nodes.append(helper.make_node("Sub", sides, [differences[-1]]))
    if len(comparisons) > 1:
        distances = [f"{difference}.distance" for difference in differences]
        nodes += [helper.make_node("Abs", [item], [out]) for item, out in zip(differences, distances, strict=True)]
        nodes.append(helper.make_node("Min", distances, [f"{name}.smallest"]))
        nodes.append(helper.make_node("Cast", [spike.tensor], [f"{name}.shape"], to=onnx.TensorProto.BOOL))
        nodes.append(helper.make_node("Where", [f"{name}.shape", *[f"{name}.smallest"] * 2], [name]))
    return nodes
