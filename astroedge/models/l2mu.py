"""L²MU: a Legendre memory unit whose populations are leaky integrate-and-fire neurons, so that only spikes travel.

The cell of arXiv 2407.04076, read in the authors' code for Braille letters (neuromorphic-polito/L2MU-Braille). A
population of neurons with decay β, threshold Θ and membrane U turns a current I into spikes; its reset is subtracted
a tick after the spike, as snnTorch's `Leaky` does it, and a membrane exactly on its threshold stays silent:

    U = clamp(β, 0, 1) U_prev + I − Θ H(U_prev − Θ)        s = H(U − Θ), H(0) = 0

With `synaptic` the current first passes `i = clamp(α, 0, 1) i_prev + I`, which takes its place (snnTorch's `Synaptic`).
One tick of spikes or numbers `x`, with h and m the spikes of hidden neurons and memory:

    u = LIF_u(e_x x + e_h h_prev + e_m m_prev)             (B, memory)
    m = LIF_m(Ā m_prev + B̄ u)                              (B, memory, order), the same Ā and B̄ for each memory
    h = LIF_h(W_x x + W_h h_prev + W_m m)                  (B, hidden)
    y = LIF_o(W_o h + b)                                   (B, outputs), spikes

Ā, B̄ are those of a Legendre memory of a window of θ ticks by a hold of zero order, and do not learn:
`Ā = exp(A / θ)`, `B̄ = A⁻¹ (Ā − 1) B`, `A_ij = (2i + 1)(−1 if i < j else (−1)^(i−j+1))`, `B_i = (2i + 1)(−1)^i`.
What is fed back is the memory's spikes, so that m is not the state of a Legendre memory, only shaped by one.

**Ā or its transpose.** Here the memory reads Ā m, as the paper has it. The published code keeps Ā as the weight of a
product that transposes, and so computes Āᵀ m: to run weights trained with it, store the transpose in `A`.

Sizes, β and Θ by default are the published ones of 27 letters. Our own: 24 inputs, with which the parameters are as
many as published (4.9e5); one β, Θ and α a neuron instead of one a population, all learnt; α, 0.5 at the start; the
derivative of a spike, that of `astroedge.models.spiking_scan`. The populations before the cell that
encode sensors are `astroedge.models.l2mu_sensors`'s.

State: the membranes u, m, h, y (with `synaptic` the current before each); zero at the start. The spikes of the last
tick are not stored: they are `H(U − Θ)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from astroedge.models.spiking_scan import fires_above

ALPHA = 0.5
# β and Θ at the start.
PUBLISHED = {"u": (0.65, 0.1), "m": (0.35, 0.4), "h": (0.15, 0.75), "y": (0.15, 0.1)}


class Population(nn.Module):
    """Leaky neurons of any shape, each with its own β, Θ and, with `synaptic`, α."""

    def __init__(self, shape: Sequence[int], beta: float, threshold: float, synaptic: bool) -> None:
        """All neurons the same at the start."""
        super().__init__()
        self.beta = nn.Parameter(torch.full(tuple(shape), beta))
        self.threshold = nn.Parameter(torch.full(tuple(shape), threshold))
        self.alpha = nn.Parameter(torch.full(tuple(shape), ALPHA)) if synaptic else None

    def spikes(self, membrane: Tensor) -> Tensor:
        """The spikes of membranes: 1 above the threshold, else 0."""
        return fires_above(membrane, self.threshold, self.training)

    def forward(self, current: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: a current and the state, (synaptic current and) membrane → the next state."""
        *before, membrane = state
        if self.alpha is not None:
            current = self.alpha.clamp(0, 1) * before[0] + current
        reset = self.threshold * self.spikes(membrane).detach()
        membrane = self.beta.clamp(0, 1) * membrane + current - reset
        return (membrane,) if self.alpha is None else (current, membrane)


class L2MU(nn.Module):
    """Inputs → memory and hidden spikes → output spikes; `widths` are inputs, hidden, outputs."""

    output_names = ("spikes",)
    A: Tensor
    B: Tensor

    def __init__(
        self,
        widths: Sequence[int] = (24, 160, 27),
        memory: int = 250,
        order: int = 4,
        theta: float = 7.0,
        synaptic: bool = False,
    ) -> None:
        """Fresh weights from torch's global generator, e_m zero; `theta` is the memory's window in ticks."""
        super().__init__()
        inputs, hidden, outputs = widths
        self.e_x, self.e_h, self.e_m = (
            nn.Linear(width, memory, bias=False) for width in (inputs, hidden, memory * order)
        )
        self.W_x, self.W_h, self.W_m = (
            nn.Linear(width, hidden, bias=False) for width in (inputs, hidden, memory * order)
        )
        self.W_o = nn.Linear(hidden, outputs)
        nn.init.zeros_(self.e_m.weight)
        shapes = {"u": (memory,), "m": (memory, order), "h": (hidden,), "y": (outputs,)}
        self.neurons = nn.ModuleDict({name: Population(shapes[name], *PUBLISHED[name], synaptic) for name in shapes})
        for name, matrix in zip("AB", legendre(order, theta), strict=True):
            self.register_buffer(name, matrix)

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        parts = ("U",) if self.neurons["u"].alpha is None else ("i", "U")
        return [f"{name}.{part}" for name in self.neurons for part in parts]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: zeros."""
        parts = len(self.state_names()) // len(self.neurons)
        return [
            torch.zeros(batch, *cast(Population, item).beta.shape)
            for item in self.neurons.values()
            for _ in range(parts)
        ]

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: `x (B, inputs)` and the state → spikes `(B, outputs)` and the next state."""
        parts, of = len(state) // 4, cast(dict[str, Population], self.neurons)
        u, m, h, y = (state[parts * index : parts * (index + 1)] for index in range(4))
        m_prev, h_prev = of["m"].spikes(m[-1]), of["h"].spikes(h[-1])
        u = of["u"](self.e_x(x) + self.e_h(h_prev) + self.e_m(m_prev.flatten(1)), *u)
        given = of["u"].spikes(u[-1])
        m = of["m"](nn.functional.linear(m_prev, self.A) + given[:, :, None] * self.B, *m)
        remembered = of["m"].spikes(m[-1])
        h = of["h"](self.W_x(x) + self.W_h(h_prev) + self.W_m(remembered.flatten(1)), *h)
        y = of["y"](self.W_o(of["h"].spikes(h[-1])), *y)
        return of["y"].spikes(y[-1]), *u, *m, *h, *y


def legendre(order: int, theta: float) -> tuple[Tensor, Tensor]:
    """Ā `(order, order)` and B̄ `(order,)` of a Legendre memory of a window of `theta` ticks, computed in float64."""
    i = torch.arange(order, dtype=torch.float64)
    row, sign = 2 * i + 1, 1 - 2 * (i % 2)
    lower = -sign[:, None] * sign  # (−1)^(i−j+1)
    A = row[:, None] * torch.where(i[:, None] < i, -torch.ones_like(lower), lower)
    held = torch.linalg.matrix_exp(A / theta)
    B = torch.linalg.solve(A, (held - torch.eye(order, dtype=torch.float64)) @ (row * sign))
    return held.float(), B.float()
