"""A keyword spotter of two GRU cells: features of an audio frame in, scores of the keywords out.

    h_1 = GRUCell(x, h_1)      h_2 = GRUCell(h_1, h_2)      y = W h_2 + b

The cells are `torch.nn.GRUCell`, whose documentation has the equations. Nothing in it fires: every matrix is dense.

State: h_1, h_2 `(B, N)`, zero at the start.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class GRUNetwork(nn.Module):
    """Inputs → GRU cells → linear scores; `widths` are inputs, units of each cell, outputs."""

    output_names = ("scores",)

    def __init__(self, widths: Sequence[int] = (40, 256, 256, 12)) -> None:
        """Fresh weights from torch's global generator."""
        super().__init__()
        self.widths = tuple(widths)
        pairs = zip(self.widths[:-2], self.widths[1:-1], strict=True)
        self.cells = nn.ModuleList(nn.GRUCell(before, after) for before, after in pairs)
        self.head = nn.Linear(self.widths[-2], self.widths[-1])

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        return [f"cells.{layer}.h" for layer in range(len(self.cells))]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: zeros."""
        return [torch.zeros(batch, width) for width in self.widths[1:-1]]

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: features `x (B, inputs)` and the state → `scores (B, outputs)` and the next state."""
        following = []
        for cell, h in zip(self.cells, state, strict=True):
            x = cell(x, h)
            following.append(x)
        return self.head(x), *following
