"""A recurrent network of adaptive-threshold neurons (ALIF, LSNN), of the size used for the Spiking Heidelberg Digits.

The neuron of the authors' LSNN-official repository (arXiv 1803.09574), without refractory period, one tick of delay in
the recurrence. One tick of a layer of `N` neurons reading spikes `x`:

    b = ρ b_prev + (1 − ρ) z_prev           the adaptation, ρ = exp(−1 / τ_a)
    ϑ = ϑ_0 + β b                           the threshold
    i = W_in x + W_rec z_prev + c           W_rec has a zero diagonal: no neuron excites itself
    v = α v_prev + (1 − α) i − ϑ z_prev     the membrane, α = exp(−1 / τ); a spike is taken off a tick later
    z = 1 where v_prev > ϑ, else 0          as in that code, the membrane before this tick's current decides

The constant current `c` of each neuron is an addition of ours. Layers follow each other within a tick, and a readout
`y = κ y_prev + (1 − κ)(W_y z_L + b_y)`, κ = α, integrates and never fires.

State: v, z, b of each layer `(B, N)`, then y `(B, outputs)`; zero at the start. z is a spike tensor that arrives as a
state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

TAU, TAU_ADAPTATION = 20.0, 200.0  # ticks of 1 ms, as published
THRESHOLD, BETA = 0.01, 1.6


class ALIF(nn.Module):
    """One recurrent layer of adaptive-threshold neurons; spikes have no surrogate derivative."""

    def __init__(self, inputs: int, neurons: int) -> None:
        """Fresh weights from torch's global generator, of variance 1 / inputs as published, and currents around 0."""
        super().__init__()
        self.alpha, self.rho = math.exp(-1 / TAU), math.exp(-1 / TAU_ADAPTATION)
        self.W_in, self.W_rec = nn.Linear(inputs, neurons), nn.Linear(neurons, neurons, bias=False)
        nn.init.normal_(self.W_in.weight, std=inputs**-0.5)
        nn.init.normal_(self.W_in.bias, std=0.5)
        nn.init.normal_(self.W_rec.weight, std=neurons**-0.5)
        with torch.no_grad():
            self.W_rec.weight.fill_diagonal_(0.0)

    def forward(self, x: Tensor, v: Tensor, z: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One tick: spikes `x (B, inputs)` and v, z, b `(B, neurons)` → the next v, z, b."""
        b = self.rho * b + (1 - self.rho) * z
        threshold = THRESHOLD + BETA * b
        current = self.W_in(x) + self.W_rec(z)
        fired = (v > threshold).to(v.dtype)
        return self.alpha * v + (1 - self.alpha) * current - threshold * z, fired, b


class ALIFNetwork(nn.Module):
    """Inputs → recurrent ALIF layers → leaky readout; `widths` are inputs, neurons of each layer, outputs."""

    output_names = ("y",)

    def __init__(self, widths: Sequence[int] = (700, 512, 512, 20)) -> None:
        """Fresh weights from torch's global generator."""
        super().__init__()
        self.widths = tuple(widths)
        pairs = zip(self.widths[:-2], self.widths[1:-1], strict=True)
        self.layers = nn.ModuleList(ALIF(before, after) for before, after in pairs)
        self.readout = nn.Linear(self.widths[-2], self.widths[-1])
        self.kappa = math.exp(-1 / TAU)

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        return [*(f"layers.{layer}.{name}" for layer in range(len(self.layers)) for name in "vzb"), "y"]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: zeros."""
        widths = [width for width in self.widths[1:-1] for _ in "vzb"]
        return [torch.zeros(batch, width) for width in (*widths, self.widths[-1])]

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: spikes `x (B, inputs)` and the state → `y (B, outputs)` and the next state."""
        following: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            v, x, b = layer(x, *state[3 * index : 3 * index + 3])
            following += (v, x, b)
        y = self.kappa * state[-1] + (1 - self.kappa) * self.readout(x)
        return y, *following, y
