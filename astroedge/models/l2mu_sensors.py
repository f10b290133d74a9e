"""L²MU for inertial sensors: populations that turn each channel into spikes, two spiking layers, then the L²MU cell.

Human activity recognition by arXiv 2407.04076. The cell is that of `astroedge.models.l2mu`. The encoder before it is
known here second-hand, from an older public copy of the authors' code (`stacked_pop_encoder`, leaky neurons): each
channel drives a population of its own, the populations are joined, and two layers of neurons follow. One tick of
numbers `x (B, channels)`, with `LIF` a population as in `astroedge.models.l2mu`:

    x' = (x − mean) · scale                                (B, channels)
    p  = LIF_p(w_c x'_c + b_c)                             (B, channels, population), w_c and b_c one a neuron
    e₁ = LIF_1(W_1 p + b_1)                                (B, encoded)
    e₂ = LIF_2(W_2 e₁ + b_2)                               (B, encoded)
    y  = L²MU(e₂)                                          (B, classes), spikes

Only spikes travel between populations. Our own: every size, β and Θ of the encoder at the start, their being one a
neuron and learnt as in the cell, the standardising first layer, and the derivative of a spike.

State: the membranes p, e₁, e₂, then those of the cell; zero at the start. The class is the output that spikes most.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from astroedge.models.l2mu import L2MU, Population
from astroedge.models.standardise import Standardise

BETA, THRESHOLD = 0.7, 1.0  # of the encoder's populations at the start
# Weights start so that what they give at a firing rate of 10 % has these deviations, the cell's by its own thresholds:
# with PyTorch's fresh weights no spike would reach it.
DEVIATION = 0.7
CELL = {"e_x": 0.14, "e_h": 0.07, "W_x": 0.7, "W_h": 0.35, "W_m": 0.7, "W_o": 0.14}


class L2MUSensors(nn.Module):
    """Raw sensor numbers → populations → two spiking layers → L²MU → output spikes."""

    output_names = ("spikes",)

    def __init__(
        self,
        channels: int = 6,
        population: int = 8,
        encoded: int = 48,
        hidden: int = 48,
        classes: int = 7,
        memory: int = 24,
        order: int = 4,
        theta: float = 7.0,
    ) -> None:
        """Fresh weights from torch's global generator; `theta` is the memory's window in ticks."""
        super().__init__()
        self.standardise = Standardise(channels)
        # Half the neurons of a channel read its rises and half its falls, from different levels on.
        sign = torch.ones(population)
        sign[1::2] = -1
        self.weight = nn.Parameter(sign * (0.5 + torch.rand(channels, population)))
        self.bias = nn.Parameter(0.5 * torch.randn(channels, population))
        self.W_1, self.W_2 = nn.Linear(channels * population, encoded), nn.Linear(encoded, encoded)
        shapes = {"p": (channels, population), "e1": (encoded,), "e2": (encoded,)}
        self.neurons = nn.ModuleDict(
            {name: Population(shape, BETA, THRESHOLD, synaptic=False) for name, shape in shapes.items()}
        )
        self.cell = L2MU((encoded, hidden, classes), memory, order, theta)
        for layer in (self.W_1, self.W_2):
            _wake(layer, DEVIATION)
        for name, deviation in CELL.items():
            _wake(cast(nn.Linear, getattr(self.cell, name)), deviation)

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        return [*(f"{name}.U" for name in self.neurons), *(f"cell.{name}" for name in self.cell.state_names())]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: zeros."""
        own = [torch.zeros(batch, *cast(Population, item).beta.shape) for item in self.neurons.values()]
        return [*own, *self.cell.initial_state(batch)]

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: raw numbers `x (B, channels)` and the state → spikes `(B, classes)` and the next state."""
        of = cast(dict[str, Population], self.neurons)
        current = self.standardise(x)[:, :, None] * self.weight + self.bias
        (p,) = of["p"](current, state[0])
        (e1,) = of["e1"](self.W_1(of["p"].spikes(p).flatten(1)), state[1])
        (e2,) = of["e2"](self.W_2(of["e1"].spikes(e1)), state[2])
        y, *cell = self.cell(of["e2"].spikes(e2), *state[3:])
        return y, p, e1, e2, *cell


def _wake(layer: nn.Linear, deviation: float) -> None:
    """Fresh weights by which inputs firing at 10 % give currents of `deviation`; no bias."""
    nn.init.normal_(layer.weight, std=deviation * (0.1 * layer.in_features) ** -0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
