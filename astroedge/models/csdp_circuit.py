"""The spiking circuit of contrastive-signal-dependent plasticity (CSDP), inference alone (arXiv 2303.18187).

All synapses read the spikes z of the last tick, those of the input, z_0, too. One tick of `dt` = 3 ms of layers 1 … L,
after the authors' code (github.com/ago109/contrastive-signal-dependent-plasticity on ngc-learn):

    j_l = R z_{l−1} W_l − R_i z_l M_l + R z_{l+1} V_l        the last layer has no V;  R = 0.1, R_i = 0.01
    j_c = Σ_l z_l C_l                                        the classes, whose cells are as all others
    v   ← v + (dt/τ_m)(j − v)                                τ_m = 100 ms
    s   = Θ(v − thr)                                         a membrane on its threshold does not fire
    v   ← (1 − s) v
    thr ← max(thr + ρ_b (Σ_units s − 1), 0.025)              ρ_b = 0.001; one sum a layer, one threshold a unit
    tr  ← (1 − dt/τ_tr) tr (1 − s_c) + s_c                   a trace of the classes, τ_tr = 13 ms

M has no diagonal and no negative weight; there are no biases. Thresholds let a layer fire once a tick in the mean. A
prediction is the softmax of the class spikes, summed over the 40 ticks of a sample.

Read in that code: equations, order, constants, layers of 3000 and 600 (MNIST). A label is zero at test time, so what it
would add is left out. Ours: any number of layers; fresh weights, uniform in ±1, M in 0 … 1, because the published ones
are learnt by a local rule. Comments in the code call other values (τ_m = 2 ms, thr = 0.8) the paper's.

Inputs are spikes `(B, inputs)`: the Bernoulli noise of an image is drawn outside of the step. State: z_0; v, z, thr
`(B, N)` of each layer; v, thr, tr `(B, classes)`. All start at 0 but thr: 0.055 ± 0.025, drawn once a unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

DT, TAU_M, TAU_TRACE = 3.0, 100.0, 13.0  # ms
RESISTANCE, INHIBITION = 0.1, 0.01
THRESHOLD, SPREAD, LOWEST_THRESHOLD, RHO_B = 0.055, 0.025, 0.025, 0.001


class CSDPCells(nn.Module):
    """Leaky neurons whose thresholds move together; dt/τ_m is a buffer, one number a neuron."""

    def __init__(self, neurons: int) -> None:
        """Fresh thresholds from torch's global generator."""
        super().__init__()
        self.leak: Tensor
        self.threshold: Tensor
        self.register_buffer("leak", torch.full((neurons,), DT / TAU_M))
        self.register_buffer("threshold", THRESHOLD + SPREAD * (2 * torch.rand(neurons) - 1))

    def forward(self, current: Tensor, v: Tensor, thr: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One tick: current, membrane and threshold `(B, N)` → the next v, spikes, the next thr."""
        v = v + self.leak * (current - v)
        s = (v > thr).to(v.dtype)
        thr = (thr + RHO_B * (s.sum(dim=1, keepdim=True) - 1)).clamp(min=LOWEST_THRESHOLD)
        return (1 - s) * v, s, thr


class CSDPCircuit(nn.Module):
    """Inputs → layers with lateral inhibition and feedback → classes, all of them a tick apart.

    Spikes have no surrogate derivative: such a circuit is not trained through its steps.
    """

    output_names = ("spikes",)

    def __init__(self, widths: Sequence[int] = (784, 3000, 600, 10)) -> None:
        """Fresh weights from torch's global generator; `widths` are inputs, neurons of each layer, classes."""
        super().__init__()
        self.widths = tuple(widths)
        layers, classes = self.widths[1:-1], self.widths[-1]
        self.W = nn.ModuleList(_synapses(*pair) for pair in pairwise(self.widths[:-1]))
        self.M = nn.ModuleList(_synapses(width, width) for width in layers)
        self.V = nn.ModuleList(_synapses(after, before) for before, after in pairwise(layers))
        self.C = nn.ModuleList(_synapses(width, classes) for width in layers)
        with torch.no_grad():
            for lateral in self.M:
                lateral.weight.abs_().fill_diagonal_(0.0)  # type: ignore[operator]
        self.cells = nn.ModuleList(CSDPCells(width) for width in self.widths[1:])

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        names = [f"layers.{layer}.{name}" for layer in range(len(self.W)) for name in ("v", "z", "thr")]
        return ["z_0", *names, "classes.v", "classes.thr", "classes.tr"]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick."""
        state = [torch.zeros(batch, self.widths[0])]
        for width, cells in zip(self.widths[1:-1], self.cells, strict=False):
            thr: Tensor = cells.threshold.repeat(batch, 1)  # type: ignore[operator]
            state += [torch.zeros(batch, width), torch.zeros(batch, width), thr]
        thr = self.cells[-1].threshold.repeat(batch, 1)  # type: ignore[operator]
        return [*state, torch.zeros_like(thr), thr, torch.zeros_like(thr)]

    def forward(self, x: Tensor, z_0: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: spikes `x (B, inputs)`, those before, and the state → spikes `(B, classes)`, the next state."""
        z = [z_0, *state[1:-3:3]]
        following = [x]
        for layer, cells in enumerate(self.cells[:-1]):
            current = RESISTANCE * self.W[layer](z[layer]) - INHIBITION * self.M[layer](z[layer + 1])
            if layer < len(self.V):
                current = current + RESISTANCE * self.V[layer](z[layer + 2])
            following += cells(current, state[3 * layer], state[3 * layer + 2])
        v, thr, tr = state[-3:]
        current = sum(synapses(spikes) for synapses, spikes in zip(self.C, z[1:], strict=True))
        v, s, thr = self.cells[-1](current, v, thr)
        tr = (1 - DT / TAU_TRACE) * tr * (1 - s) + s
        return s, *following, v, thr, tr


def _synapses(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.uniform_(layer.weight, -1.0, 1.0)
    return layer
