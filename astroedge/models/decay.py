"""Learnt decays: unconstrained parameters in training, constants in an exported step."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Decay(nn.Module):
    """A learnt factor in (0, 1) for each channel, `sigmoid(raw)`: how much of a membrane is left after one tick."""

    def __init__(self, channels: int) -> None:
        """Spread the decays of `channels` membranes evenly over 0.02 … 0.9: some pass on the moment, some remember."""
        super().__init__()
        self.raw = nn.Parameter(torch.logit(torch.linspace(0.02, 0.9, channels)))

    def forward(self) -> Tensor:
        """The decays, `(channels,)`."""
        return torch.sigmoid(self.raw)


class MemoryDecay(nn.Module):
    """γ = exp(−1/τ), one learnt time scale τ in ticks for each head, stored as its logarithm."""

    def __init__(self, taus: Tensor) -> None:
        """Start at `taus`, `(h,)`."""
        super().__init__()
        self.log_tau = nn.Parameter(taus.log())

    def forward(self) -> Tensor:
        """γ, `(h,)`."""
        return torch.exp(-torch.exp(-self.log_tau))


class ConstantDecay(nn.Module):
    """The value a `Decay` or `MemoryDecay` had when it was frozen."""

    value: Tensor

    def __init__(self, value: Tensor) -> None:
        """Keep a copy of `value`."""
        super().__init__()
        self.register_buffer("value", value.detach().clone())

    def forward(self) -> Tensor:
        """The value."""
        return self.value
