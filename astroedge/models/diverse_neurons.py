"""A network of fixed random weights whose neurons differ: each has a small matrix of its own, and that alone adapts.

Neural diversity in random networks, arXiv 2305.15945, read in the authors' code for the bipedal walker
(Joachm/neural_diversity_nets). Neuron n has a 3 × 3 matrix P_n and one hidden number h. One tick of a layer, input `x`:

    [y, ·, h] = tanh(P_n [x_n, 1, h_prev])        row 0 is the output, row 2 the next h; row 1 is read by nobody
    x of the next layer = y W                     W ~ N(0, 0.5), the deviation, drawn once and fixed

The inputs pass a first layer of such neurons, and y of the last layer is the output, an action between −1 and 1. P is
drawn from U(−1, 1) and adapted, by evolution in the paper; a derivative reaches it too, so gradients can do it. The
widths are arguments; those by default, 24 numbers of the walker's senses and its 4 actions with two layers of 128
between them, are ours for the two layers.

State: h of each layer `(B, N)`, the inputs' first; zero at the start. Nothing fires: all matrices are dense.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class DiverseNeurons(nn.Module):
    """A layer of neurons, each with its own matrix."""

    def __init__(self, neurons: int) -> None:
        """P `(3, 3, neurons)`, so that an entry of all neurons is contiguous, from torch's global generator."""
        super().__init__()
        self.P = nn.Parameter(torch.rand(3, 3, neurons) * 2 - 1)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """One tick: `x` and h `(B, neurons)` → y and the next h; the row that nobody reads is not computed."""
        y, h = (torch.tanh(row[0] * x + row[1] + row[2] * h) for row in (self.P[0], self.P[2]))
        return y, h


class DiverseNetwork(nn.Module):
    """Layers of diverse neurons with fixed random weights between them; `widths` are those of all layers."""

    output_names = ("actions",)

    def __init__(self, widths: Sequence[int] = (24, 128, 128, 4)) -> None:
        """Fresh weights and matrices from torch's global generator."""
        super().__init__()
        self.widths = tuple(widths)
        self.layers = nn.ModuleList(DiverseNeurons(width) for width in self.widths)
        self.weights = nn.ParameterList(
            nn.Parameter(0.5 * torch.randn(before, after), requires_grad=False)
            for before, after in zip(self.widths[:-1], self.widths[1:], strict=True)
        )

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        return [f"layers.{layer}.h" for layer in range(len(self.layers))]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: zeros."""
        return [torch.zeros(batch, width) for width in self.widths]

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: `x (B, inputs)` and the state → `actions (B, outputs)` and the next state."""
        following = []
        for index, (layer, h) in enumerate(zip(self.layers, state, strict=True)):
            x, h = layer(x if index == 0 else x @ self.weights[index - 1], h)
            following.append(h)
        return x, *following
