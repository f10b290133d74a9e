"""From a model as it is called to a pure function of its state: states that it makes or hides come into the open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from astroedge.exporters import frameworks
from astroedge.exporters.shared.batch_axes import find_batch_axes
from astroedge.exporters.state.find_state import find_hidden_state
from astroedge.exporters.state.locations import Location
from astroedge.exporters.step_call.examples import Inputs
from astroedge.exporters.step_call.signature import StepCall
from astroedge.exporters.step_call.state_tree import Leaf
from astroedge.exporters.wrapping.assumptions import assumed_states, states_for_outputs
from astroedge.exporters.wrapping.default_states import with_own_states
from astroedge.exporters.wrapping.fake_quantise import fix_quantisers
from astroedge.exporters.wrapping.step_module import StepModule, run_step


@dataclass(frozen=True)
class WrappedModel:
    """A model whose state is all explicit.

    `call` has the states that the model makes itself; `module` is the function of them and of the hidden ones, and
    `initial` are their values before the first tick. `outputs` are those of one tick, with their paths in what the
    model returns, `kept` is what it set in its first ticks and kept since, `notes` what a user should know.
    """

    call: StepCall
    module: StepModule
    initial: list[Tensor]
    outputs: list[Leaf]
    kept: Mapping[Location | str, Any]
    notes: list[str]

    def batch_axes(self) -> list[int | None]:
        """The axis of each state that counts streams; None where there is none."""
        return find_batch_axes(
            lambda data, states: list(run_step(self.module, data, states)[len(self.outputs) :]),
            self.call.inputs,
            self.initial,
        )


def wrap_model(call: StepCall, ticks: Sequence[Inputs]) -> WrappedModel:
    """Find the state of a cold model by stepping it over `ticks`.

    Raises ExportError for state that no graph can carry.
    """
    given, call = call.states, with_own_states(call)
    notes = [*call.notes, *frameworks.notes(call.model)]
    if call.states and not given:
        notes += assumed_states(call)
    frameworks.make_static(call.model)
    fix_quantisers(call.model)
    with frameworks.checking_calls(call.model):
        found = find_hidden_state(call, ticks)
    module = StepModule(call, [state.hidden for state in found.states])
    initial = [*call.state_leaves, *(state.initial for state in found.states)]
    with torch.no_grad():
        outputs, following = call(call.inputs, [tensor.clone() for tensor in call.state_leaves])
    notes += states_for_outputs(call, outputs, following)
    return WrappedModel(call, module, initial, outputs, found.kept, notes)
