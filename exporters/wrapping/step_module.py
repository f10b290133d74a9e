"""The model as a pure function of its state: what is traced."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from astroedge.exporters.state.locations import HiddenState
from astroedge.exporters.step_call.signature import StepCall


class StepModule(nn.Module):
    """`forward(*inputs, *states) -> (*outputs, *next states)`, all flat tensors, for any model.

    Explicit states go to the model's arguments; each hidden state is put into its place before the model runs and read
    back afterwards. States come in the order explicit, hidden. The model's own memory is as before when forward
    returns.
    """

    def __init__(self, call: StepCall, hidden_states: Sequence[HiddenState]) -> None:
        """Wrap what `call` calls; `hidden_states` are where it hides state."""
        super().__init__()
        self.model = call.model
        self.hidden_states = tuple(hidden_states)
        self.call = call

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """One tick."""
        # Fresh copies: a model may write to what it is given, and one tensor may stand for two states.
        copies = [tensor.clone() for tensor in tensors]
        inputs, states = copies[: len(self.call.inputs)], copies[len(self.call.inputs) :]
        explicit = len(states) - len(self.hidden_states)
        before = [hidden.read(self.model) for hidden in self.hidden_states]
        try:
            for hidden, tensor in zip(self.hidden_states, states[explicit:], strict=True):
                hidden.write(self.model, tensor)
            outputs, following = self.call(inputs, states[:explicit])
            values = [hidden.read(self.model) for hidden in self.hidden_states]
        finally:
            for hidden, tensor in zip(self.hidden_states, before, strict=True):
                hidden.write(self.model, tensor)
        return (*(tensor for _, tensor in outputs), *following, *values)


def run_step(module: StepModule, inputs: Sequence[Tensor], states: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """One tick without gradients."""
    with torch.no_grad():
        result: tuple[Tensor, ...] = module(*inputs, *states)
    return result
