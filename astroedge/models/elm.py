"""The expressive leaky memory (ELM) neuron: one neuron with many slow memory units, which imitates a cortical neuron.

The neuron of arXiv 2306.16922 in both forms of the authors' repository (AaronSpieler/elmneuron), read in its code. The
inputs `x` reach `branches × synapses` synapses by a fixed table; one tick of `dt` ms, `κ = exp(−dt / τ)`:

    version 1                                          version 2, which leaks at the branch
    s = κ_s s_prev + w_s ⊙ x, w_s = ReLU(w)            b = κ_b b_prev + Σ_{synapses of a branch} w_s ⊙ x
    b = Σ_{synapses of a branch} s
    Δ = 1.7159 tanh(⅔ MLP([b, κ_m m_prev]))            the same
    m = κ_m m_prev + λ (1 − κ_m) Δ                     m = κ_m m_prev + (1 − κ_λ) Δ, κ_λ = exp(−λ dt / τ_m)
    y = W_y m + c                                      the same

The MLP has one hidden layer of twice as many units as there are memories. Nothing fires, nothing is reset.

Defaults as in the code: 100 memories, λ 5, τ_s = τ_b = 5 ms, fixed, w 0.5, τ_m spaced from 1 to 1000 ms by their
logarithms, ReLU; the published best neuron has SiLU, 1278 inputs, 45 branches of 100 synapses and τ_m up to 150 ms, and
its sizes are the defaults here. τ_m learns if asked to: a sigmoid then keeps it between its bounds. Our own: the table
deals the inputs out in turn to one synapse after the other, unless one is given; where a synapse has no input
(−1 in the table), it reads nothing.

State: s `(B, branches · synapses)` or b `(B, branches)`, then m `(B, memories)`; zero at the start.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from astroedge.errors import InputError
from astroedge.models.standardise import Standardise


class ELM(nn.Module):
    """One ELM neuron; in an exported graph the factors of time and `w_s` are constants."""

    output_names = ("y",)
    table: Tensor
    wired: Tensor
    tau_s: Tensor

    def __init__(
        self,
        inputs: int = 1278,
        outputs: int = 2,
        memories: int = 100,
        branches: int = 45,
        synapses: int = 100,
        *,
        version: int = 2,
        activation: str = "silu",
        tau_s: float = 5.0,
        tau_m: tuple[float, float] = (1.0, 150.0),
        learn_tau: bool = False,
        scale: float = 5.0,
        dt: float = 1.0,
        table: Tensor | None = None,
        standardise: bool = False,
    ) -> None:
        """Fresh weights from torch's global generator.

        `scale` is λ, times are in ms, `activation` is relu or silu, `table` the input of every synapse, branch after
        branch, `(branches · synapses,)`, −1 for none. With `standardise` the inputs are raw numbers, brought to the
        training data's mean and scale first. Raises InputError for another version or activation.
        """
        super().__init__()
        if version not in (1, 2) or activation not in ("relu", "silu"):
            raise InputError(f"There is no ELM of version {version!r} with {activation!r}: it is 1 or 2, relu or silu.")
        self.version, self.branches, self.scale, self.dt = version, branches, scale, dt
        table = torch.arange(branches * synapses) % inputs if table is None else table
        self.register_buffer("table", table.clamp(min=0))
        self.register_buffer("wired", (table >= 0).float())
        self.w = nn.Parameter(torch.full((branches * synapses,), 0.5))
        self.register_buffer("tau_s", torch.full((branches * synapses if version == 1 else branches,), tau_s))
        self.low, self.high = tau_m
        share = (torch.logspace(math.log10(self.low), math.log10(self.high), memories) - self.low) / (
            self.high - self.low
        )
        self.tau = nn.Parameter(torch.logit(share, eps=1e-3), requires_grad=learn_tau)
        self.hidden = nn.Linear(branches + memories, 2 * memories)
        self.proposal = nn.Linear(2 * memories, memories)
        self.activation = nn.ReLU() if activation == "relu" else nn.SiLU()
        self.readout = nn.Linear(memories, outputs)
        self.standardise = Standardise(inputs) if standardise else None

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        return ["s" if self.version == 1 else "b", "m"]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: zeros."""
        return [torch.zeros(batch, len(self.tau_s)), torch.zeros(batch, len(self.tau))]

    def tau_m(self) -> Tensor:
        """The time constants of the memories in ms, `(memories,)`."""
        return self.low + (self.high - self.low) * torch.sigmoid(self.tau)

    def forward(self, x: Tensor, dendrite: Tensor, m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One tick: `x (B, inputs)`, s or b, and m → `y (B, outputs)` and the next state."""
        x = x if self.standardise is None else self.standardise(x)
        tau = self.tau_m()
        kept, kappa = torch.exp(-self.dt / self.tau_s), torch.exp(-self.dt / tau)
        given = torch.relu(self.w) * self.wired * x[:, self.table]
        if self.version == 1:
            dendrite = kept * dendrite + given
            b, written = self._sums(dendrite), self.scale * (1 - kappa)
        else:
            b = dendrite = kept * dendrite + self._sums(given)
            written = 1 - torch.exp(-self.scale * self.dt / tau)
        hidden = self.activation(self.hidden(torch.cat([b, kappa * m], dim=-1)))
        m = kappa * m + written * (1.7159 * torch.tanh(2 / 3 * self.proposal(hidden)))
        return self.readout(m), dendrite, m

    def _sums(self, synapses: Tensor) -> Tensor:
        """What the synapses of each branch add up to, `(B, branches)`."""
        by_branch: Tensor = synapses.unflatten(-1, (self.branches, -1))
        return by_branch.sum(-1)
