"""NALSM, the neuron–astrocyte liquid state machine (arXiv 2111.01760): a reservoir that learns while it runs.

`I` input neurons and a reservoir of `R` neurons on a cubic grid, N = I + R, inputs first; 80 % of it excites. One
tick of 1 ms, in the order of the authors' code (github.com/combra-lab/NALSM), with x the Bernoulli noise of the
inputs, handed in as spikes:

    s   = Θ(v (1 − clip(rfr, 0, 1)) − θ)              fires on the threshold too;  v ← v (1 − s)
    age ← 0 where s                                   ticks since the last spike, one a presynaptic neuron
    v   ← v − v/τ_v + b + Σ_j W_ji u_j + 100 x        u_j = e^{−age_j/τ_u} / τ_u, x on the input neurons alone
    age ← clip(age + 1, 0, 100)
    rfr ← (rfr − 1)(1 − s) + 2 s
    ΔW_ji = p_j tr_j s_i + q_j s_j tr_i               j before, i after;  p, q = η, −A of what excites (inputs too),
                                                      −A, η of what inhibits;  tr is that of the last tick
    W   ← clip(W + ΔW, lowest_j, highest_j)           excites [0, 3], inhibits [−3, 0], inputs [−3, 3]
    tr  ← κ (tr + 0.1 s)                              κ = e^{−1/10}
    A   ← A + (w_a (Σ_reservoir s − Σ_inputs s) + b_a − A) / 100        the astrocyte: A is the rate of depression
    η, A, w_a, b_a ← 0.99 of each

Read in that code: order, constants, starting weights of magnitude 3, the age of 20 ticks at the start, wiring by
`C exp(−(d/3)²)` at distance `d` on the grid, C = 0.2, 0.1, 0.3, 0.05 for E→E, E→I, I→E, I→I, and inputs to 15 % of the
reservoir. Ours: v, rfr and tr start at 0; no neuron reaches itself; weights of inputs begin at +3 or −3 with even odds;
the code's neuron without a use is left out; an `u` older than `reach` ticks is exactly 0, with the default of 17 ticks
what is left out is below 2⁻²⁴ of a fresh one at τ_u = 1. The published weights come of a long run without decay of the
constants: step with a `rate_decay` of 1 and put W in `weight`. The readout counts spikes of a whole sample; it is no
part of this step, but of that of `astroedge.models.nalsm_classifier`.

State: v, rfr, tr `(B, N)` float, age `(B, N)` int64, W `(B, N, R)`, row j what neuron j gives, 0 where there is no
synapse, and η, A, w_a, b_a `(B, 1)`. Every stream has weights of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

OLDEST = 100  # ticks: ages are counted no further
TAU_V, TAU_U, TAU_TRACE, TAU_ASTROCYTE = 64.0, 1.0, 10.0, 100.0  # ticks of 1 ms
THRESHOLD, REFRACTORY, INPUT_KICK = 20.0, 2.0, 100.0
TRACE_GAIN, RATE_DECAY, HIGHEST_WEIGHT = 0.1, 0.99, 3.0
RATE = 0.15  # η, A and b_a at the start
EXCITING, INPUT_DENSITY, SPREAD = 0.8, 0.15, 3.0
CONNECTIVITY = ((0.2, 0.1), (0.3, 0.05))  # from E, I (rows) to E, I


class NALSM(nn.Module):
    """A reservoir of spiking neurons whose synapses an astrocyte keeps at the edge of chaos.

    τ_v, θ, τ_u and b are buffers, one number a neuron. Nothing here has a gradient: its synapses learn by their rule.
    """

    output_names = ("spikes",)

    def __init__(self, inputs: int = 784, grid: Sequence[int] = (10, 10, 10), reach: int = 17) -> None:
        """Fresh wiring from torch's global generator. `reach`: ticks for which a spike drives, 1 to 101."""
        super().__init__()
        self.inputs, self.neurons = inputs, math.prod(grid)
        total = inputs + self.neurons
        self.astrocyte_gain = 15.0 / self.neurons if self.neurons <= 1000 else 60.0 / self.neurons
        self.kappa, self.rate_decay = math.exp(-1 / TAU_TRACE), RATE_DECAY
        exciting = torch.ones(total, dtype=torch.bool)
        exciting[inputs:] = torch.rand(self.neurons).argsort() < round(EXCITING * self.neurons)
        self.exciting: Tensor
        self.synapses: Tensor
        self.register_buffer("exciting", exciting)
        self.register_buffer("synapses", _wiring(exciting[inputs:], inputs, grid))
        sign = torch.where(exciting, 1.0, -1.0)[:, None].expand(total, self.neurons).clone()
        sign[:inputs] = torch.where(torch.rand(inputs, self.neurons) < 0.5, -1.0, 1.0)
        self.weight: Tensor
        self.register_buffer("weight", torch.where(self.synapses, HIGHEST_WEIGHT * sign, 0.0))
        self.lowest: Tensor
        self.highest: Tensor
        lowest = torch.where(exciting, 0.0, -HIGHEST_WEIGHT)
        lowest[:inputs] = -HIGHEST_WEIGHT
        self.register_buffer("lowest", lowest[:, None])
        self.register_buffer("highest", torch.where(exciting, HIGHEST_WEIGHT, 0.0)[:, None])
        self.tau_v: Tensor
        self.threshold: Tensor
        self.b: Tensor
        self.register_buffer("tau_v", torch.full((total,), TAU_V))
        self.register_buffer("threshold", torch.full((total,), THRESHOLD))
        self.register_buffer("b", torch.zeros(total))
        self.set_synapses(torch.full((total,), TAU_U), reach)

    def set_synapses(self, tau: Tensor, reach: int) -> None:
        """Let spikes of each neuron decay with `tau (N,)` ticks and drive for `reach` ticks."""
        ages = torch.arange(OLDEST + 1)
        kernel = torch.exp(-ages / tau[:, None]) / tau[:, None] * (ages < reach)
        self.kernel: Tensor
        self.first: Tensor
        self.register_buffer("kernel", kernel.flatten())
        self.register_buffer("first", (OLDEST + 1) * torch.arange(len(tau)))

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        return ["v", "rfr", "tr", "age", "W", "eta", "A", "w_a", "b_a"]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick; each has a copy of `weight`."""
        zeros = [torch.zeros(batch, len(self.b)) for _ in range(3)]
        age = torch.full((batch, len(self.b)), 20, dtype=torch.int64)
        rates = (RATE, RATE, self.astrocyte_gain, RATE)
        weight = torch.where(self.synapses, self.weight, 0.0)
        return [*zeros, age, weight.repeat(batch, 1, 1), *(torch.full((batch, 1), rate) for rate in rates)]

    def forward(
        self,
        x: Tensor,
        v: Tensor,
        rfr: Tensor,
        tr: Tensor,
        age: Tensor,
        W: Tensor,
        eta: Tensor,
        A: Tensor,
        w_a: Tensor,
        b_a: Tensor,
    ) -> tuple[Tensor, ...]:
        """One tick: noise `x (B, I)` of 0 and 1 and the state → spikes `(B, R)` of the reservoir and the next state."""
        fired = v * (1 - rfr.clamp(0, 1)) >= self.threshold
        s = fired.to(v.dtype)
        age = torch.where(fired, 0, age)
        u = self.kernel[age + self.first]
        current = torch.cat([INPUT_KICK * x, torch.bmm(u[:, None], W)[:, 0]], dim=1)
        v = v * (1 - s)
        v = v - v / self.tau_v + self.b + current
        inputs, reservoir = s[:, : self.inputs], s[:, self.inputs :]
        W = self._learn(W, fired, tr, eta, A)
        drive = w_a * (reservoir.sum(dim=1, keepdim=True) - inputs.sum(dim=1, keepdim=True))
        A = A + (drive + b_a - A) / TAU_ASTROCYTE
        rates = (self.rate_decay * rate for rate in (eta, A, w_a, b_a))
        rfr = (rfr - 1) * (1 - s) + REFRACTORY * s
        return reservoir, v, rfr, self.kappa * (tr + TRACE_GAIN * s), (age + 1).clamp(0, OLDEST), W, *rates

    def _learn(self, W: Tensor, fired: Tensor, tr: Tensor, eta: Tensor, A: Tensor) -> Tensor:
        """The next weights: spikes after a trace and traces before a spike, each an outer product.

        Where neither end of a synapse fired its change is 0. That it stays as it is then is said by a choice, so that
        runtimes need not touch it; a sum with 0 and two bounds would say it of weights within the bounds alone.
        """
        s = fired.to(tr.dtype)
        after_trace = torch.where(self.exciting, eta, -A) * tr
        before_trace = torch.where(self.exciting, -A, eta) * s
        change = after_trace[:, :, None] * s[:, None, self.inputs :]
        change = change + before_trace[:, :, None] * tr[:, None, self.inputs :]
        bounded = torch.minimum(torch.maximum(W + change, self.lowest), self.highest)
        either = fired[:, :, None] | fired[:, None, self.inputs :]
        return torch.where(self.synapses & either, bounded, W)


def _wiring(exciting: Tensor, inputs: int, grid: Sequence[int]) -> Tensor:
    """Which of the inputs and the neurons (rows) reach which neurons: Boolean `(inputs + neurons, neurons)`."""
    axes = torch.meshgrid(*(torch.arange(float(length)) for length in grid), indexing="ij")
    places = torch.stack([axis.flatten() for axis in axes], dim=1)
    squares = ((places[:, None] - places[None]) ** 2).sum(dim=-1)
    kind = (~exciting).long()
    chance = torch.tensor(CONNECTIVITY)[kind[:, None], kind[None]] * torch.exp(-squares / SPREAD**2)
    chance.fill_diagonal_(0.0)
    return torch.rand(inputs + len(kind), len(kind)) < torch.cat(
        [torch.full((inputs, len(kind)), INPUT_DENSITY), chance]
    )
