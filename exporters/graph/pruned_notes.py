"""Which weights are mostly zeros: worth saying, since they may be stored without them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx

from astroedge.step.graph_index import GraphIndex
from astroedge.step.tensor_data import array_of

PRODUCTS = ("MatMul", "Gemm")
LEAST, ZEROS = 1024, 0.5  # elements of a matrix worth naming, and the share of zeros from which it counts as pruned
NAMED = 6


def pruned_notes(graph: onnx.GraphProto) -> Iterator[str]:
    """One sentence that names the pruned weight matrices with their shares of zeros; nothing where there are none."""
    found = []
    for name, tensor in GraphIndex(graph).stored.items():
        if len(tensor.dims) == 2 and any(name in node.input[:2] for node in graph.node if node.op_type in PRODUCTS):
            weights = array_of(tensor)
            zeros = 1 - np.count_nonzero(weights) / max(weights.size, 1)
            if weights.size >= LEAST and zeros >= ZEROS:
                found.append(f"{name} {zeros:.1%}")
    if found:
        more = f" and {len(found) - NAMED} more" * (len(found) > NAMED)
        yield f"Zeros among the weights: {', '.join(found[:NAMED])}{more}; compile leaves them out where that pays."
