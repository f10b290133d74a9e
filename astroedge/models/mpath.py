"""MPATH: neurons that fire where their membrane stands out from its own statistics (arXiv 2104.10851).

After the authors' repository (github.com/cantordust/mpath, `mpath/layer.py`), which calls itself the code of the paper
and is work in progress. One tick of a layer of `N` neurons that reads x, with `stats` taken twice:

    V ← V e^{−α};   a ← a e^{−α_a};   μ, ν ← stats(V)
    V ← V + W x
    n = (V − μ) / √ν                                        μ, ν as the first stats left them;   μ, ν ← stats(V)
    θ = e^{−α_θ n};   ρ = tanh(n) − θ
    where ρ ≥ 0:  a ← ρ, V ← 0;   elsewhere both stay

    stats(V):   δ = V − μ;   μ ← μ + α δ;   ν ← (1 − α)(ν + α δ²)

α = 1 / (τ + 1) of each neuron, τ evenly from 5 to 50 ticks, α_θ = α_a = 10 α. What a layer gives is `a`: graded, and
decaying between spikes, so a layer behind it reads numbers. The published weights come of a local Hebbian rule that
keeps rows of length 1, which is no part of the step.

Ours: layers follow each other within a tick, fresh weights are normal with rows of length 1, streams are independent,
sizes, and how ν starts. With ν = 0 any membrane above its mean is infinitely far above it and fires with ρ = 1; so ν
starts at 1, and V, μ, a at 0. There is no small number below the root. The ν of a neuron that hears nothing sinks to
the smallest numbers there are, or to 0 where a processor has none of these; n is then 0 or 0 / 0, and as no comparison
with NaN holds, the neuron is silent either way and its state finite.

State: V, μ, ν, a `(B, N)` of each layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

SHORTEST, LONGEST = 5.0, 50.0  # ticks
FASTER = 10.0  # α_θ and α_a over α
VARIANCE = 1.0


class MPATHLayer(nn.Module):
    """One layer; α and the decays of V and a are buffers, one number a neuron. Nothing has a surrogate derivative."""

    def __init__(self, inputs: int, neurons: int) -> None:
        """Fresh weights from torch's global generator."""
        super().__init__()
        self.W = nn.Linear(inputs, neurons, bias=False)
        with torch.no_grad():
            self.W.weight.copy_(nn.functional.normalize(torch.randn(neurons, inputs)))
        self.alpha: Tensor
        self.decay_V: Tensor
        self.decay_a: Tensor
        self.set_tau(torch.linspace(SHORTEST, LONGEST, neurons))

    def set_tau(self, tau: Tensor) -> None:
        """Give the neurons time constants `tau (N,)` in ticks, above 0."""
        alpha = 1 / (tau + 1)
        self.register_buffer("alpha", alpha)
        self.register_buffer("decay_V", torch.exp(-alpha))
        self.register_buffer("decay_a", torch.exp(-FASTER * alpha))

    def forward(self, x: Tensor, V: Tensor, mu: Tensor, nu: Tensor, a: Tensor) -> tuple[Tensor, ...]:
        """One tick: `x (B, inputs)` and V, μ, ν, a `(B, N)` → the next V, μ, ν, a."""
        V, a = V * self.decay_V, a * self.decay_a
        mu, nu = self._stats(V, mu, nu)
        V = V + self.W(x)
        n = (V - mu) / torch.sqrt(nu)
        mu, nu = self._stats(V, mu, nu)
        rho = torch.tanh(n) - torch.exp(-FASTER * self.alpha * n)
        fired = rho >= 0
        return torch.where(fired, 0.0, V), mu, nu, torch.where(fired, rho, a)

    def _stats(self, V: Tensor, mu: Tensor, nu: Tensor) -> tuple[Tensor, Tensor]:
        """The next mean and variance, both of which forget with α."""
        delta = V - mu
        return mu + self.alpha * delta, (1 - self.alpha) * (nu + self.alpha * delta * delta)


class MPATHNetwork(nn.Module):
    """Inputs → layers; `widths` are inputs and neurons of each layer."""

    output_names = ("a",)

    def __init__(self, widths: Sequence[int] = (784, 100)) -> None:
        """Fresh weights from torch's global generator."""
        super().__init__()
        self.widths = tuple(widths)
        self.layers = nn.ModuleList(MPATHLayer(*pair) for pair in pairwise(self.widths))

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        return [f"layers.{layer}.{name}" for layer in range(len(self.layers)) for name in ("V", "mu", "nu", "a")]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: zeros, but ν of 1."""
        starts = (0.0, 0.0, VARIANCE, 0.0)
        return [torch.full((batch, width), start) for width in self.widths[1:] for start in starts]

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: `x (B, inputs)` and the state → the last layer's a `(B, N)` and the next state."""
        following: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            following += layer(x, *state[4 * index : 4 * index + 4])
            x = following[-1]
        return x, *following
