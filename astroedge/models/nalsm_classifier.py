"""A NALSM reservoir that looks at raw numbers, an image say, and tells classes by its spikes.

The readout of arXiv 2111.01760 is linear in the reservoir's counts of spikes over a sample, which are divided there by
their sum and by the greatest of a batch. Neither moves the highest of scores without a bias, so that a sum over the
ticks is all that is left, and its matrix reads spikes:

    o = o_prev + W_o s        s the spikes of `astroedge.models.nalsm.NALSM` in this tick

Ours: the inputs have no noise. `gain x` takes the place of its spikes, and an input neuron driven by 100 gain x a tick
fires at a steady rate, every third tick at most, because its own membrane sums that up. o is read at the last tick of a
presentation, which begins at the initial state.

State: that of the reservoir, then o `(B, classes)`, zero at the start.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from astroedge.models.nalsm import NALSM


class NALSMClassifier(nn.Module):
    """Raw inputs → a reservoir that learns while it runs → scores from its counts of spikes."""

    output_names = ("o",)

    def __init__(self, inputs: int, classes: int, grid: Sequence[int] = (10, 10, 10), gain: float = 1.0) -> None:
        """Fresh wiring and weights from torch's global generator; `gain` is what an input is multiplied by."""
        super().__init__()
        self.reservoir = NALSM(inputs, grid)
        self.readout = nn.Linear(self.reservoir.neurons, classes, bias=False)
        self.gain = gain

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        return [*self.reservoir.state_names(), "o"]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick."""
        return [*self.reservoir.initial_state(batch), torch.zeros(batch, self.readout.out_features)]

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: `x (B, inputs)` and the state → scores so far, `o (B, classes)`, and the next state."""
        spikes, *following = self.reservoir(self.gain * x, *state[:-1])
        o = state[-1] + self.readout(spikes)
        return o, *following, o
