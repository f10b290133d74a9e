"""What export can say already of spikes whose zeros no kernel will skip."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import onnx

from astroedge.bundle.manifest import WORTH_SKIPPING
from astroedge.step.find_sparsity import find_sparsity
from astroedge.step.graph import StepGraph
from astroedge.step.graph_index import GraphIndex, ValueTypes, infer_types
from astroedge.step.operators import made_by

LITTLE = 0.2  # the fraction of non-zero elements below which skipping the others would pay


def dense_notes(graph: StepGraph) -> Iterator[str]:
    """A sentence for each product that reads spikes in a form that no event-driven kernel has."""
    sparse = {name: item for name, item in find_sparsity(graph.model, graph.spec).items() if 0 < item.rate < LITTLE}
    types, stored = infer_types(graph.model), GraphIndex(graph.model.graph).stored
    for node in graph.model.graph.node:
        reads = [name for name in node.input[:2] if name in sparse]
        form = _form(node, types, stored, reads) if reads else ""
        if form:
            known = sparse[reads[0]]
            yield (
                f"{made_by([node])} reads {known.source!r}, of which {known.rate:.1%} is not zero, in {form}: no "
                "event-driven kernel does that, so silent elements take as long as others."
            )


def _form(node: onnx.NodeProto, types: ValueTypes, stored: dict[str, onnx.TensorProto], sparse: list[str]) -> str:
    """The form of a product that reads the `sparse` ones of its operands in full, in words; "" for any other."""
    if node.op_type in ("Conv", "ConvTranspose"):
        name = "a convolution" if node.op_type == "Conv" else "a transposed convolution"
        if node.input[1] not in stored:
            return f"{name} whose weights the step computes"
        return f"{name} over three axes" if types.ranks.get(node.input[0], 0) > 4 else ""
    if node.op_type != "MatMul" or any(name in stored for name in node.input):
        return ""
    left, right = node.input
    rows, columns = types.shapes.get(left, ()), types.shapes.get(right, ())
    if prod(rows) * (columns[-1] if len(columns) > 1 else 1) < WORTH_SKIPPING or rows[-1:] == (1,):
        return ""
    vector = columns[-1:] == (1,) or len(columns) == 1
    if right in sparse and vector:
        return ""
    if left not in sparse:
        return "the right operand of a product of two computed matrices"
    many = len(rows) > 1 and rows[-2] != 1
    return "a product of two computed matrices" if many or vector else ""
