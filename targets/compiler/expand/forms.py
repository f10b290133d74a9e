"""Nodes that rules write often, in the form of the model's operator set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from astroedge.step.node_builder import NodeBuilder
from astroedge.targets.compiler.expand.expansion import Call

AXES_ARE_INPUTS = {"ReduceSum": 13}
OTHER_AXES_ARE_INPUTS = 18


def reshaped(builder: NodeBuilder, value: str, shape: Sequence[int], output: str | None = None) -> str:
    """The elements of a value in another shape."""
    return builder.op("Reshape", [value, builder.constant(list(shape), np.int64, "shape")], output)


def sliced(builder: NodeBuilder, value: str, axis: int, start: int, end: int, step: int = 1) -> str:
    """Every `step`-th element of one axis, from `start` to before `end`."""
    numbers = (builder.constant([number], np.int64, "place") for number in (start, end, axis, step))
    return builder.op("Slice", [value, *numbers])


def reduced(
    call: Call, builder: NodeBuilder, kind: str, value: str, axes: Sequence[int], *, keep: bool = True, output: str = ""
) -> str:
    """A reduction (`kind`, such as "ReduceSum") over `axes`, over all for none."""
    inputs, options = [value], {}
    if axes and call.opset >= AXES_ARE_INPUTS.get(kind, OTHER_AXES_ARE_INPUTS):
        inputs.append(builder.constant(list(axes), np.int64, "axes"))
    elif axes:
        options["axes"] = list(axes)
    return builder.op(kind, inputs, output or None, keepdims=int(keep), **options)
