"""A convolutional network of LIF neurons for event cameras, of the size used for N-MNIST.

One tick, `x` the events of two polarities on 34 × 34 pixels, every LIF as in astroedge.models.lif:

    x (2, 34, 34) → conv 5 × 5 → LIF (12, 30, 30) → max pool 2 → (12, 15, 15)
                  → conv 5 × 5 → LIF (32, 11, 11) → max pool 2 → (32, 5, 5) → linear → LIF (10)

A max pool of spikes is 1 where any of its four neurons fired. The widths are those of snnTorch's tutorial on N-MNIST,
which pools before it fires; classes are read off by counting the spikes of the ten output neurons.

State: the membranes of the three populations, zero at the start.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astroedge.models.lif import LIF


class ConvLIFNetwork(nn.Module):
    """Events `(B, 2, size, size)` → two convolutional LIF layers with pools → `classes` output neurons."""

    output_names = ("spikes",)

    def __init__(
        self, size: int = 34, channels: tuple[int, int] = (12, 32), classes: int = 10, decay: float = 0.875
    ) -> None:
        """Fresh weights from torch's global generator."""
        super().__init__()
        first, second = channels
        self.maps = [(first, size - 4, size - 4), (second, (size - 4) // 2 - 4, (size - 4) // 2 - 4)]
        self.classes = classes
        self.conv1, self.conv2 = nn.Conv2d(2, first, 5), nn.Conv2d(first, second, 5)
        self.linear = nn.Linear(second * (self.maps[1][1] // 2) ** 2, classes)
        self.lif1, self.lif2, self.lif3 = LIF(decay), LIF(decay), LIF(decay)

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        return ["lif1.v", "lif2.v", "lif3.v"]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: zeros."""
        return [torch.zeros(batch, *shape) for shape in (*self.maps, (self.classes,))]

    def forward(self, x: Tensor, v1: Tensor, v2: Tensor, v3: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One tick: events `x` and the membranes → output spikes `(B, classes)` and the next membranes."""
        s, v1 = self.lif1(self.conv1(x), v1)
        s, v2 = self.lif2(self.conv2(F.max_pool2d(s, 2)), v2)
        s, v3 = self.lif3(self.linear(F.max_pool2d(s, 2).flatten(1)), v3)
        return s, v1, v2, v3
