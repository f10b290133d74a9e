"""A feed-forward network of LIF neurons with a leaky readout: the smallest spiking classifier.

One tick, for layers 1 … L and `x` the input spikes, `s_0 = x`:

    s_l, v_l = LIF_l(W_l s_{l−1} + b_l, v_l)         (astroedge.models.lif)
    y = λ y_prev + W_y s_L + b_y                     a readout that integrates and never fires

State: v_1 … v_L `(B, N_l)` and y `(B, outputs)`, zero at the start. y is the output as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from astroedge.models.lif import LIF


class LIFNetwork(nn.Module):
    """Inputs → LIF layers → leaky readout; `widths` are inputs, neurons of each layer, outputs."""

    output_names = ("y",)

    def __init__(self, widths: Sequence[int] = (32, 64, 10), decay: float = 0.875) -> None:
        """Fresh weights from torch's global generator."""
        super().__init__()
        self.widths, self.decay = tuple(widths), decay
        pairs = zip(self.widths[:-1], self.widths[1:], strict=True)
        self.linears = nn.ModuleList(nn.Linear(before, after) for before, after in pairs)
        self.neurons = nn.ModuleList(LIF(decay) for _ in self.widths[1:-1])

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        return [*(f"neurons.{layer}.v" for layer in range(len(self.neurons))), "readout"]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: zeros."""
        return [torch.zeros(batch, width) for width in self.widths[1:]]

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: spikes `x (B, inputs)` and the state → `y (B, outputs)` and the next state."""
        following = []
        for linear, neurons, v in zip(self.linears, self.neurons, state, strict=False):
            x, v = neurons(linear(x), v)
            following.append(v)
        y = self.decay * state[-1] + self.linears[-1](x)
        return y, *following, y
