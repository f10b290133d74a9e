"""Thresholds of a population: one for all, or one for each neuron, which learns."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from astroedge.models.spiking_scan import fire, leaky_scan, spike


class Threshold(nn.Module):
    """θ of a population: the number `value`, or, where neurons have their `own`, a parameter that starts there."""

    value: Tensor | float

    def __init__(self, value: float, neurons: int, own: bool) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.full((neurons,), value)) if own else value

    def fire(self, membrane: Tensor) -> Tensor:
        """Spikes of one tick, of membranes `(…, neurons)` that reach their thresholds."""
        return fire(membrane, self.value)

    def spike(self, membrane: Tensor) -> Tensor:
        """The same spikes with the surrogate derivative, of membranes and thresholds."""
        if isinstance(self.value, float):
            return spike(membrane, self.value)
        return spike(membrane - self.value, 0.0)

    def scan(
        self, current: Tensor, decay: Tensor, initial: Tensor, readout: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """`leaky_scan` at these thresholds. Where they are many, membranes walk in units of their own threshold."""
        if isinstance(self.value, float):
            return leaky_scan(current, decay, initial, self.value, readout)
        theta = self.value
        beside = None if readout is None else readout / theta
        spikes, left = leaky_scan(current / theta, decay, initial / theta, 1.0, beside)
        return spikes, left * theta
