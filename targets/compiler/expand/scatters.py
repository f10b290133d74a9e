"""A ScatterND to rows known beforehand as a choice for each row: `queue[:-1] = queue[1:]`, circular padding.

TVM lowers a scatter to a loop of its own, which nothing schedules. A choice between the row that was there and the new
one, gathered from its known place, is an element-wise operator like any other.
"""

from __future__ import annotations

import numpy as np

from astroedge.step.node_builder import NodeBuilder
from astroedge.targets.compiler.expand.expansion import Call, Rule

NONE = b"none"


def scatter_rows(call: Call, builder: NodeBuilder) -> bool:
    """ScatterND without reduction whose indices are a constant list of rows of a tensor of fixed shape."""
    indices = call.constant(1)
    if indices is None or call.options.get("reduction", NONE) != NONE or call.input(0) not in call.types.shapes:
        return False
    if indices.ndim != 2 or indices.shape[1] != 1:
        return False
    shape = call.shape()
    sources = np.full(shape[0], -1)
    sources[indices[:, 0]] = np.arange(len(indices))
    written = (sources >= 0).reshape(-1, *(1 for _ in shape[1:]))
    moved = builder.op("Gather", [call.input(2), builder.constant(np.maximum(sources, 0), np.int64, "sources")], axis=0)
    builder.op("Where", [builder.constant(written, np.bool_, "written"), moved, call.input(0)], call.output(0))
    return True


RULES: dict[str, Rule] = {"ScatterND": scatter_rows}
