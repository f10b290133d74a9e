"""A first layer for raw numbers: what sensors give, at the mean and scale that a network was trained with."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Standardise(nn.Module):
    """`(x − mean) · scale` for each channel; a part of the model, so that its exported step reads raw numbers.

    Both are buffers `(channels,)`, 0 and 1 until `fit`, and travel in the checkpoint; they do not learn.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, channels: int) -> None:
        """A layer that changes nothing yet."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))

    def fit(self, ticks: Tensor) -> None:
        """Take mean and scale, 1 / standard deviation, from training data `(…, channels)`.

        A channel that never moves keeps the scale 1.
        """
        ticks = ticks.reshape(-1, ticks.shape[-1]).double()
        deviation = ticks.std(0, correction=0)
        self.mean.copy_(ticks.mean(0))
        self.scale.copy_(torch.where(deviation > 0, 1 / deviation, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        """`x (…, channels)` → the same, standardised."""
        return (x - self.mean) * self.scale
