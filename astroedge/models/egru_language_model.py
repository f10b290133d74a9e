"""A token-level language model of EGRU layers: embedding → layers → a linear map of the events.

Layers of `astroedge.models.egru_network` (arXiv 2206.06178, EvNN) between an embedding and logits. That EvNN's language
model has 1350, 1350 and 750 units is published; that its readout is linear in the last layer's y is our reading, and
the embedding's width is its own here. All matrices but the first layer's W read events.

    x = Emb[token]      x ← EGRU(x), layer by layer      logits = W_o x + b_o

State: c and y of each layer `(B, N)`; zero at the start.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from astroedge.models.egru_network import EGRU


class EGRULanguageModel(nn.Module):
    """Tokens → embedding → EGRU layers → logits; `widths` are the embedding and the units of each layer."""

    output_names = ("logits",)

    def __init__(self, widths: Sequence[int] = (96, 304), vocabulary: int = 256) -> None:
        """Fresh weights and thresholds from torch's global generator."""
        super().__init__()
        self.widths = tuple(widths)
        self.embedding = nn.Embedding(vocabulary, self.widths[0])
        pairs = zip(self.widths[:-1], self.widths[1:], strict=True)
        self.layers = nn.ModuleList(EGRU(before, after) for before, after in pairs)
        self.head = nn.Linear(self.widths[-1], vocabulary)

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        return [f"layers.{layer}.{name}" for layer in range(len(self.layers)) for name in "cy"]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: zeros."""
        return [torch.zeros(batch, width) for width in self.widths[1:] for _ in "cy"]

    def forward(self, token: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: `token (B,)` int64 and the state → `logits (B, vocabulary)` and the next state."""
        x, following = self.embedding(token), []
        for index, layer in enumerate(self.layers):
            c, x = layer(x, *state[2 * index : 2 * index + 2])
            following += [c, x]
        return self.head(x), *following

    def sequence(
        self, tokens: Tensor, state: Sequence[Tensor], spikes: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Whole sequences: `tokens (B, T)` int64 → `logits (B, T, vocabulary)` and the state after the last token.

        If `spikes` is a dict, the events of every layer, `(T, B, N)`, are put into it under a name such as
        `layers.0.event`.
        """
        x, following = self.embedding(tokens.t()), list[Tensor]()
        for index, layer in enumerate(self.layers):
            x, events, *new = layer.sequence(x, *state[2 * index : 2 * index + 2])  # type: ignore[operator]
            following += new
            if spikes is not None:
                spikes[f"layers.{index}.event"] = events
        return self.head(x).transpose(0, 1), following
