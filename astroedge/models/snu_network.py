"""A recurrent network of spiking neural units (SNU), and two readings of its variants for speech recognition.

The base unit is that of IBM's neuroaikit, read in its code (arXiv 1812.07040). One tick of a layer that reads `x`:

    V = W x + R y_prev + d V_prev ⊙ (1 − y_prev)     the output of the last tick resets the membrane
    y = 1 where V > b, else 0                        d = 0.8, b = 1 at first, one a unit
    y = σ(V − b)                                     in the soft unit, which therefore resets in part

The toolkit allows a function around V; it is the identity by default, and here. Two variants of arXiv 2110.02743 are
known to us by their concepts alone. What follows is our reading of them, not the paper's equations:

    axo-somatic   t = ρ t_prev + (1 − ρ)(W_a x + R_a y_prev)     y = 1 where V + β t > b
    axo-axonic    o = σ(W_o x + R_o y_prev + b_o)                y = o where V > b, else 0

with ρ = 0.9 and β = 1. An axo-axonic output is graded, and as it is what resets the membrane, it resets in part.

The default is one layer of 256 units between 32 inputs and a readout `W_y y + b_y` of 10; sizes are ours. In training a
spike has the derivative of `astroedge.models.spiking_scan`. State: V and y of each layer, axo-somatic units t too,
`(B, N)`; zero at the start.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from astroedge.errors import InputError
from astroedge.models.spiking_scan import fires_above

DECAY, RHO, BETA = 0.8, 0.9, 1.0
KINDS = ("base", "soft", "axo-somatic", "axo-axonic")


class SNU(nn.Module):
    """One recurrent layer of spiking neural units of one of `KINDS`."""

    def __init__(self, inputs: int, units: int, kind: str = "base") -> None:
        """Fresh weights from torch's global generator. Raises InputError for a kind that does not exist."""
        super().__init__()
        if kind not in KINDS:
            raise InputError(f"{kind!r} is no kind of spiking neural unit. Choose one of {', '.join(KINDS)}.")
        self.kind = kind
        self.W, self.R = nn.Linear(inputs, units, bias=False), nn.Linear(units, units, bias=False)
        self.b = nn.Parameter(torch.ones(units))
        if kind in ("axo-somatic", "axo-axonic"):
            self.W_axon = nn.Linear(inputs, units, bias=kind == "axo-axonic")
            self.R_axon = nn.Linear(units, units, bias=False)

    def forward(self, x: Tensor, v: Tensor, y: Tensor, *t: Tensor) -> list[Tensor]:
        """One tick: `x (B, inputs)` and V, y, and t of axo-somatic units, `(B, units)` → the next of each."""
        previous = y
        v = self.W(x) + self.R(y) + DECAY * v * (1 - y)
        if self.kind == "soft":
            return [v, torch.sigmoid(v - self.b)]
        if self.kind == "axo-somatic":
            drift = RHO * t[0] + (1 - RHO) * (self.W_axon(x) + self.R_axon(previous))
            return [v, fires_above(v + BETA * drift, self.b, self.training), drift]
        y = fires_above(v, self.b, self.training)
        if self.kind == "axo-axonic":
            y = y * torch.sigmoid(self.W_axon(x) + self.R_axon(previous))
        return [v, y]


class SNUNetwork(nn.Module):
    """Inputs → recurrent SNU layers → linear readout; `widths` are inputs, units of each layer, outputs."""

    output_names = ("scores",)

    def __init__(self, widths: Sequence[int] = (32, 256, 10), kind: str = "base") -> None:
        """Fresh weights from torch's global generator. Raises InputError for a kind that does not exist."""
        super().__init__()
        self.widths, self.parts = tuple(widths), "Vyt" if kind == "axo-somatic" else "Vy"
        pairs = zip(self.widths[:-2], self.widths[1:-1], strict=True)
        self.layers = nn.ModuleList(SNU(before, after, kind) for before, after in pairs)
        self.readout = nn.Linear(self.widths[-2], self.widths[-1])

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        return [f"layers.{layer}.{name}" for layer in range(len(self.layers)) for name in self.parts]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: zeros."""
        return [torch.zeros(batch, width) for width in self.widths[1:-1] for _ in self.parts]

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: features `x (B, inputs)` and the state → `scores (B, outputs)` and the next state."""
        following: list[Tensor] = []
        count = len(self.parts)
        for index, layer in enumerate(self.layers):
            following += layer(x, *state[count * index : count * (index + 1)])
            x = following[count * index + 1]
        return self.readout(x), *following
