"""The model as its user runs it, tick after tick, watched for what changes later than the first ticks show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from astroedge.exporters.state.find_state import separate_shared_items
from astroedge.exporters.state.locations import HiddenState
from astroedge.exporters.state.refuse_changes import refuse_late_changes
from astroedge.exporters.state.snapshot import Snapshot
from astroedge.exporters.step_call.blame import blame_model
from astroedge.exporters.step_call.signature import StepCall

SETTLING_TICKS = 3
Array = np.ndarray[Any, np.dtype[Any]]


def watched_run(
    call: StepCall, hidden_states: Sequence[HiddenState], ticks: Iterable[dict[str, Array]]
) -> Iterator[tuple[dict[str, Array], list[Array]]]:
    """Step the cold model over `ticks`: the inputs of each, then its outputs and the next states, hidden ones last.

    Raises ExportError after the last tick if anything that is no state has changed since the first ones.
    """
    states = call.state_leaves
    separate_shared_items(call.model)
    settled: Snapshot | None = None
    count = 0
    for tick in ticks:
        if count == SETTLING_TICKS:
            settled = Snapshot.of(call)
        count += 1
        inputs = [torch.from_numpy(array.copy()) for array in tick.values()]
        with torch.no_grad(), blame_model(call.label, call.model):
            outputs, states = call(inputs, [tensor.clone() for tensor in states])
        hidden = [state.read(call.model) for state in hidden_states]
        results = [*(tensor for _, tensor in outputs), *states, *hidden]
        yield tick, [tensor.detach().numpy().copy() for tensor in results]
    if settled is not None:
        known = {location for state in hidden_states for location in state.locations}
        refuse_late_changes(call.model, settled, Snapshot.of(call), known, count)
