"""What a model sets in its first ticks and then keeps: a constant of the step, unless it depends on the first input.

A table that is made on demand is the same whatever comes in. A normalisation to the first frame is not: the graph would
hold that of the example for ever.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from astroedge.errors import ExportError
from astroedge.exporters.shared.labels import label
from astroedge.exporters.state.locations import Location
from astroedge.exporters.state.snapshot import Note, Snapshot, equal
from astroedge.exporters.step_call.signature import StepCall

TICKS = 3


def refuse_first_input_values(call: StepCall, kept: Mapping[Location | str, Any]) -> None:
    """Step the cold model on other inputs than the example; raise ExportError if one of the `kept` values differs.

    Random numbers are others, too.
    """
    states = call.state_leaves
    inputs = [_other(tensor) for tensor in call.inputs]
    torch.rand(1), np.random.random(), random.random()
    try:
        for _ in range(TICKS):
            with torch.no_grad():
                _, states = call([tensor.clone() for tensor in inputs], [tensor.clone() for tensor in states])
    except Exception:  # the model's own code may refuse made-up inputs in any way
        return
    found = Snapshot.of(call)
    values: dict[Any, Any] = {**found.others, **found.external, **found.tensors}
    for location, value in kept.items():
        other = values.get(location)
        if not equal(value, other.value if isinstance(other, Note) else other):
            raise ExportError(
                f"{_who(call, location)} from its first inputs or at random and then keeps it, so a graph would keep "
                "that of the example; set it before export, or make it state: a buffer that every tick writes, with "
                "torch.where."
            )


def _who(call: StepCall, location: Location | str) -> str:
    """Who sets what, in words."""
    if isinstance(location, str):
        return f"{call.label} sets {location}"
    return f"{label(location.module, call.model.get_submodule(location.module))} sets {location.name!r}"


def _other(tensor: Tensor) -> Tensor:
    """Another input of the same kind: smaller, in reverse order, and no index beyond what is there if that can be."""
    turned = tensor.flip(tuple(range(tensor.ndim)))
    if turned.is_floating_point():
        other = turned * 0.75 + 0.125
        return other + 0.5 if torch.equal(other, tensor) else other
    if turned.dtype == torch.bool:
        return ~tensor
    other = (turned - 1).clamp_min(0)
    return other + 1 if torch.equal(other, tensor) else other
