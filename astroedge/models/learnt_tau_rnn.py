"""A rate network whose units learn their time constants, which reads bits and remembers some of them.

The network of arXiv 2309.12927, read in the authors' code (LevinaLab/rnn_timescale_public). One tick of `N` units with
`τ = max(τ_p, 1)` ticks, `φ(a) = a` for a ≥ 0 and `0.01 a` below, and a `W` without a diagonal: no unit reads itself.

    h = φ((1 − 1/τ) h_prev + (W h_prev + b + W_in x + b_in) / τ)          the default
    h = (1 − 1/τ) h_prev + φ(W h_prev + b + W_in x + b_in) / τ            `outside`, "mod" in the code
    y_N = V_N h + c_N                                                     one head of two classes for each task N

Published: 500 units, one input that is 0 or 1 a tick, `τ_p = 1 + U(0, 1)` at the start, heads for the parity of the
last N bits or whether bit N − 1 before the last equals the last; a head is read at the last tick of a sequence, here at
every tick. h starts at `0.1 U(0, 1)`: draw it and give it as the first state where that matters; here it starts at
zero. `stretch`, k, multiplies τ (the code's "continuous" network). Weights are drawn as `torch.nn.Linear` does; that is
our choice. In an exported graph 1/τ and the W without a diagonal are constants.

State: h `(B, N)`. Nothing fires: both matrices are dense.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SLOPE = 0.01


class LearntTauRNN(nn.Module):
    """Inputs → units with learnt time constants → the heads, side by side."""

    output_names = ("scores",)
    others: Tensor

    def __init__(
        self,
        inputs: int = 1,
        units: int = 500,
        heads: int = 1,
        *,
        classes: int = 2,
        outside: bool = False,
        stretch: float = 1.0,
    ) -> None:
        """Fresh weights and time constants from torch's global generator."""
        super().__init__()
        self.heads, self.outside, self.stretch = heads, outside, stretch
        self.W_in, self.W = nn.Linear(inputs, units), nn.Linear(units, units)
        self.V = nn.Linear(units, heads * classes)
        self.tau = nn.Parameter(1 + torch.rand(units))
        self.register_buffer("others", 1 - torch.eye(units), persistent=False)

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        return ["h"]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: zeros."""
        return [torch.zeros(batch, len(self.tau))]

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """One tick: bits `x (B, inputs)` and h → `scores (B, heads, classes)` and the next h."""
        h = self._tick(self.W_in(x), h, self.W.weight * self.others, self._share())
        return self._scores(h), h

    def sequence(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """All ticks of `x (T, B, inputs)`, for training: `scores (T, B, heads, classes)` and the last h."""
        weight, share, states = self.W.weight * self.others, self._share(), []
        for given in self.W_in(x):
            h = self._tick(given, h, weight, share)
            states.append(h)
        return self._scores(torch.stack(states)), h

    def _share(self) -> Tensor:
        """1/τ of every unit."""
        return 1 / (self.stretch * self.tau.clamp(min=1))

    def _tick(self, given: Tensor, h: Tensor, weight: Tensor, share: Tensor) -> Tensor:
        """The next h; `given` is W_in x + b_in."""
        current = nn.functional.linear(h, weight, self.W.bias) + given
        if self.outside:
            return (1 - share) * h + share * nn.functional.leaky_relu(current, SLOPE)
        return nn.functional.leaky_relu((1 - share) * h + share * current, SLOPE)

    def _scores(self, h: Tensor) -> Tensor:
        return self.V(h).unflatten(-1, (self.heads, -1))  # type: ignore[no-any-return]
