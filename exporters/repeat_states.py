"""`repeat_states`: the explicit states of a model for one stream become those of several."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from astroedge.errors import ExportError
from astroedge.exporters.shared.batch_axes import repeat_first_stream
from astroedge.exporters.shared.child_process import run_in_child
from astroedge.exporters.state.find_state import find_hidden_state
from astroedge.exporters.step_call.blame import blame_model
from astroedge.exporters.step_call.examples import Example
from astroedge.exporters.step_call.signature import StepCall, make_call
from astroedge.exporters.step_call.state_tree import rebuild
from astroedge.exporters.wrapping.check_model import check_model
from astroedge.exporters.wrapping.step_module import StepModule, run_step
from astroedge.scratch import scratch_folder


def repeat_states(model: Any, inputs: Example, states: Any, count: int) -> tuple[Any, ...]:
    """The state arguments of `model` for `count` streams, all as in the given ones, whose `inputs` have one.

    Which axis of a state counts streams is found by running the model with 2 and with 3 of them; the model itself stays
    as it is. Raises ExportError when that shows no independent streams.
    """
    call = make_call(model, inputs, states)
    check_model(call.model)
    with scratch_folder("batch") as folder:
        repeated = run_in_child(lambda: _repeat(call, count), folder)
    if repeated is None:
        raise ExportError(
            f"--batch {count} cannot find which axis of the states counts streams: {call.label} fails with 2 or 3 of "
            "them, or one changes another; return inputs and states of that batch from the factory."
        )
    return rebuild(call.states, repeated)  # type: ignore[no-any-return]


def _repeat(call: StepCall, count: int) -> list[Tensor] | None:
    """The state tensors for `count` streams; hidden states are tried along with them and not returned."""
    with blame_model(call.label):
        hidden = find_hidden_state(call, [call.inputs]).states
        module = StepModule(call, [state.hidden for state in hidden])
        initial = [*call.state_leaves, *(state.initial for state in hidden)]
        with torch.no_grad():
            outputs = len(call(call.inputs, [tensor.clone() for tensor in call.state_leaves])[0])
    found = repeat_first_stream(
        lambda data, states: list(run_step(module, data, states)[outputs:]), call.inputs, initial, count
    )
    return None if found is None else found[: len(call.state_leaves)]
