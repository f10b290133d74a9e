"""A network of event-based gated recurrent units (EGRU): a GRU that speaks only when its cell crosses a threshold.

The unit of the authors' EvNN repository (arXiv 2206.06178), read in its code. One tick of a layer of `N` units reading
`x`, where `W`, `R` and both biases have a block of N rows for each of z, r, g, in this order:

    z, r = σ(W x + b_w + R y_prev + b_r)                 gates
    g = tanh(W_g x + b_wg + r ⊙ (R_g y_prev + b_rg))     the proposal
    c̃ = z ⊙ c_prev + (1 − z) ⊙ g
    e = 1 where c̃ > ϑ, else 0                            an event; exactly on ϑ there is none
    c = c̃ − e ϑ        y = e ⊙ c̃                         what is sent is graded, and mostly zero

ϑ is learnt, one a unit. As in EvNN it is drawn from a Beta distribution of mean 0.3 at first; that it is Beta(3, 7) is
our choice. In training the derivative of an event is that of `astroedge.models.spiking_scan`, not the paper's triangle
0.7 max(0, 1 − |·|), and the zoneout of EvNN is left out. The readout is ours as well:

    o = 0.9 o_prev + 0.1 (W_o y + b_o)

It is what a linear map of EvNN's trace of y gives, but its matrix reads events. The default is one layer of 590 units,
the size published for sequential MNIST, which reads a pixel a tick.

State: c and y of each layer `(B, N)`, then o `(B, outputs)`; zero at the start.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from astroedge.models.spiking_scan import fires_above

TRACE = 0.9


class EGRU(nn.Module):
    """One layer of event-based gated units."""

    def __init__(self, inputs: int, units: int) -> None:
        """Fresh weights and thresholds from torch's global generator."""
        super().__init__()
        self.W, self.R = nn.Linear(inputs, 3 * units), nn.Linear(units, 3 * units)
        self.threshold = nn.Parameter(torch.distributions.Beta(3.0, 7.0).sample((units,)))

    def forward(self, x: Tensor, c: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """One tick: `x (B, inputs)` and c, y `(B, units)` → the next c, y."""
        c, event = self._tick(self.W(x), c, y)
        return c - event * self.threshold, event * c

    def sequence(self, x: Tensor, c: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All ticks of `x (T, B, inputs)`, W applied to all at once → every y and event `(T, B, units)`, last c, y."""
        sent, events = [], []
        for given in self.W(x):
            before, event = self._tick(given, c, y)
            c, y = before - event * self.threshold, event * before
            sent.append(y)
            events.append(event)
        return torch.stack(sent), torch.stack(events), c, y

    def _tick(self, given: Tensor, c: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """From W x + b_w: c̃ and the events."""
        given_z, given_r, given_g = given.chunk(3, dim=-1)
        own_z, own_r, own_g = self.R(y).chunk(3, dim=-1)
        z, r = torch.sigmoid(given_z + own_z), torch.sigmoid(given_r + own_r)
        g = torch.tanh(given_g + r * own_g)
        c = z * c + (1 - z) * g
        return c, fires_above(c, self.threshold, self.training)


class EGRUNetwork(nn.Module):
    """Inputs → EGRU layers → leaky linear readout; `widths` are inputs, units of each layer, outputs."""

    output_names = ("o",)

    def __init__(self, widths: Sequence[int] = (1, 590, 10)) -> None:
        """Fresh weights from torch's global generator."""
        super().__init__()
        self.widths = tuple(widths)
        pairs = zip(self.widths[:-2], self.widths[1:-1], strict=True)
        self.layers = nn.ModuleList(EGRU(before, after) for before, after in pairs)
        self.readout = nn.Linear(self.widths[-2], self.widths[-1])

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        return [*(f"layers.{layer}.{name}" for layer in range(len(self.layers)) for name in "cy"), "o"]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: zeros."""
        widths = [width for width in self.widths[1:-1] for _ in "cy"]
        return [torch.zeros(batch, width) for width in (*widths, self.widths[-1])]

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: features `x (B, inputs)` and the state → `o (B, outputs)` and the next state."""
        following: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            c, x = layer(x, *state[2 * index : 2 * index + 2])
            following += (c, x)
        o = TRACE * state[-1] + (1 - TRACE) * self.readout(x)
        return o, *following, o
