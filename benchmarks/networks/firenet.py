"""FireNet in spikes: optical flow from events, as the equations of event_flow's LIFFireNet have it.

Hagenaars, Paredes-Vallés, de Croon: Self-Supervised Learning of Event-Based Optical Flow with Spiking Neural Networks
(NeurIPS 2021). Membrane and spikes of a layer are one state, stacked, as in their code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvLIF(nn.Module):
    """A convolution into leaky neurons that start anew from 0 after a spike; with a second one of their own spikes.

    v ← σ(leak)·v·(1 − z) + (1 − σ(leak))·current, z ← v > threshold; leak and threshold are learned by channel.
    """

    def __init__(self, channels: int, outputs: int, recurrent: bool) -> None:
        super().__init__()
        self.ff = nn.Conv2d(channels, outputs, 3, padding=1, bias=False)
        self.rec = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False) if recurrent else None
        self.leak = nn.Parameter(torch.randn(outputs, 1, 1) * 0.1 - 4.0)
        self.threshold = nn.Parameter(torch.full((outputs, 1, 1), 0.8))

    def membrane(self, x: Tensor, state: Tensor) -> Tensor:
        """The membranes (N, outputs, H, W) of a tick before they are compared with the threshold."""
        v, z = state
        current = self.ff(x) if self.rec is None else self.ff(x) + self.rec(z)
        leak = torch.sigmoid(self.leak)
        after: Tensor = v * leak * (1 - z) + (1 - leak) * current
        return after

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One tick: inputs and the state (2, N, outputs, H, W), membranes and spikes, to spikes and the state."""
        v = self.membrane(x, state)
        z = (v - self.threshold > 0).float()
        return z, torch.stack([v, z])


class FireNet(nn.Module):
    """Seven spiking layers of `width` channels, of which the second and the fifth are recurrent, and a flow image."""

    RECURRENT = (False, True, False, False, True, False, False)

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ConvLIF(width if index else 2, width, recurrent) for index, recurrent in enumerate(self.RECURRENT)
        )
        self.pred = nn.Conv2d(width, 2, 1)
        self.width = width

    def initial_state(self, height: int, breadth: int, streams: int = 1) -> list[Tensor]:
        """A state of zeros for each layer."""
        return [torch.zeros(2, streams, self.width, height, breadth) for _ in self.layers]

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: counts of events (N, 2, H, W) and the states, to the flow (N, 2, H, W) and the states."""
        following = []
        for layer, own in zip(self.layers, state, strict=True):
            x, after = layer(x, own)
            following.append(after)
        return torch.tanh(self.pred(x)), *following
