"""A network of parametric LIF neurons (PLIF), whose membrane time constant is learnt.

The neuron of arXiv 2007.05785 as SpikingJelly's `ParametricLIFNode` has it. One tick of a layer that reads `x`:

    k = σ(w)                       1 / τ; w = −ln(τ_0 − 1) at first
    v = v_prev + k (I − v_prev)    with decay_input, or v = v_prev (1 − k) + I without; I = W x + b
    s = 1 where v ≥ ϑ, else 0      ϑ = 1
    v = v (1 − s)                  hard reset to 0, or v − s ϑ by subtraction

τ_0 = 2, decay_input and the hard reset are the defaults of that code. As published a layer shares one w;
`one_tau_per_neuron` gives every neuron its own. The network is the fully connected end of the published ones, of which
we know second-hand: the last layer fires too, and of ten neurons for each class the mean is the output of the tick,
whose sum over the ticks decides. Widths are ours.

In training spikes have the derivative of `astroedge.models.spiking_scan`. State: v of each layer `(B, N)`, zero at the
start.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from astroedge.errors import InputError
from astroedge.models.spiking_scan import fires_at

VOTES = 10  # neurons for each class


class PLIF(nn.Module):
    """A population of LIF neurons with learnt time constants: one for all, or one for each of `neurons`."""

    threshold: Tensor

    def __init__(
        self, tau: float = 2.0, *, neurons: int = 1, decay_input: bool = True, subtract_reset: bool = False
    ) -> None:
        """Start with time constants of `tau` ticks. Raises InputError for one that is not above 1."""
        super().__init__()
        if not tau > 1:
            raise InputError(f"A time constant of {tau} ticks: σ(w) = 1/τ is below 1. Give a τ above 1.")
        self.decay_input, self.subtract_reset = decay_input, subtract_reset
        self.w = nn.Parameter(torch.full((neurons,), -math.log(tau - 1)))
        self.register_buffer("threshold", torch.ones(1))

    def forward(self, current: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """One tick: the input current and the membrane, of one shape → spikes 0 and 1, next membrane."""
        k = torch.sigmoid(self.w)
        v = v + k * (current - v) if self.decay_input else v * (1 - k) + current
        s = fires_at(v, self.threshold, self.training)
        return s, v - s * self.threshold if self.subtract_reset else v * (1 - s)


class PLIFNetwork(nn.Module):
    """Inputs → PLIF layers, the last of which votes; `widths` are inputs, neurons of hidden layers, classes."""

    output_names = ("votes",)

    def __init__(
        self,
        widths: Sequence[int] = (784, 512, 10),
        tau: float = 2.0,
        *,
        one_tau_per_neuron: bool = False,
        decay_input: bool = True,
        subtract_reset: bool = False,
    ) -> None:
        """Fresh weights from torch's global generator. Raises InputError for a `tau` that is not above 1."""
        super().__init__()
        self.classes = widths[-1]
        self.widths = (*widths[:-1], VOTES * self.classes)
        pairs = zip(self.widths[:-1], self.widths[1:], strict=True)
        self.linears = nn.ModuleList(nn.Linear(before, after) for before, after in pairs)
        self.neurons = nn.ModuleList(
            PLIF(
                tau,
                neurons=width if one_tau_per_neuron else 1,
                decay_input=decay_input,
                subtract_reset=subtract_reset,
            )
            for width in self.widths[1:]
        )

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        return [f"neurons.{layer}.v" for layer in range(len(self.neurons))]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: zeros."""
        return [torch.zeros(batch, width) for width in self.widths[1:]]

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: spikes `x (B, inputs)` and the state → the share of each class's voters `(B, classes)`, state."""
        following = []
        for linear, neurons, v in zip(self.linears, self.neurons, state, strict=True):
            x, v = neurons(linear(x), v)
            following.append(v)
        votes = x.reshape(-1, self.classes, VOTES).sum(-1) * (1 / VOTES)
        return votes, *following
