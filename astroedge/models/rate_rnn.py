"""A network of firing rates in continuous time, of the kind that is fitted to sparse recordings of a few of its units.

One tick of `dt` of `N` units, Euler's step of `τ ẋ = −x + J φ(x) + B u`, with `φ = tanh`:

    x = (1 − dt/τ) x_prev + (dt/τ) (J φ(x_prev) + B u)
    z = W φ(x)

The abstract of arXiv 2005.02211 (Salatiello and Giese) confirms what such a network is trained for: to produce an
output and, on the way, the recorded activity of some of its units. That its equations are these, the field's standard
form, is unconfirmed. Ours are the sizes, a τ for each unit (10 ticks), and weights as Sompolinsky, Crisanti and Sommers
have them (Physical Review Letters 61, 1988): `J ~ N(0, g²/N)`, whose activity is chaotic without inputs where g is
above 1; here `g = 1.5`. B is drawn from N(0, 1), W from N(0, 1/N).

In an exported graph dt/τ is a constant. State: x `(B, N)`, zero at the start, where a network without inputs stays:
give it another first state, or inputs. Rates are no spikes: all matrices are dense.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RateRNN(nn.Module):
    """Inputs → units with rates → a linear readout of the rates."""

    output_names = ("z",)
    tau: Tensor

    def __init__(
        self,
        inputs: int = 1,
        units: int = 300,
        outputs: int = 1,
        *,
        gain: float = 1.5,
        tau: float = 10.0,
        dt: float = 1.0,
    ) -> None:
        """Fresh weights from torch's global generator; `tau` and `dt` in the same unit, τ of every unit at least dt."""
        super().__init__()
        self.dt = dt
        self.J, self.B, self.W = (
            nn.Linear(before, after, bias=False)
            for before, after in ((units, units), (inputs, units), (units, outputs))
        )
        nn.init.normal_(self.J.weight, std=gain * units**-0.5)
        nn.init.normal_(self.B.weight)
        nn.init.normal_(self.W.weight, std=units**-0.5)
        self.register_buffer("tau", torch.full((units,), tau))

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        return ["x"]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: zeros."""
        return [torch.zeros(batch, len(self.tau))]

    def forward(self, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """One tick: inputs `u (B, inputs)` and x → the readout `z (B, outputs)` and the next x."""
        share = self.dt / self.tau
        x = (1 - share) * x + share * (self.J(torch.tanh(x)) + self.B(u))
        return self.W(torch.tanh(x)), x
