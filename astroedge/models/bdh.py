"""BDH-GPU, the Dragon Hatchling: a language model of positive, sparse activity whose memory is a matrix of synapses.

The parallel code of pathwaycom/bdh (arXiv 2509.26507) as a step. All layers share their weights, LN is a layer norm
without weights, `h` heads of `N` neurons, `D` the width. One tick, for the token at position t:

    x = LN(Emb[token])                             then, for each layer:
    a = ReLU(x E_h)                                (B, h, N), the neurons that are active
    ã = Rot_t(a)                                   pairs (2i, 2i + 1) turn by the angle t θ^(−2i/N), θ = 2¹⁶
    c_h = ã_hᵀ S_h                                 (B, h, D), read before this tick is stored: strictly causal
    S_h ← S_h + ã_h xᵀ                             no decay, no softmax, no scale; every head stores the same x
    g = ReLU(LN(c_h) F_h)      z = a ⊙ g           (B, h, N)
    x ← LN(x + LN(concat_h(z) Dec))                and at the end  logits = x W_head,  t ← t + 1

Confirmed in that code; its attention over all earlier positions equals this recurrence. Which way a pair turns does not
matter, since the memory is read by the difference of two angles; here (u, w) → (u cos − w sin, w cos + u sin). The
published size is 6 layers, D 256, 4 heads of N = 8192: 25.3 million weights, and 8.4 million numbers of state a layer.
By default N is 256, our choice, so that a step fits small devices. About 5 % of `a` active in trained networks is known
at second hand only. Weights start normal with deviation 0.02, from memory; dropout in training is left out.

Angles are counted in turns, of which only the fraction matters, in float32 as there: at position t an angle is off by
up to t · 4·10⁻⁷ radians, and the counter itself stands still at 2²⁴ positions.

State: S of each layer `(B, h, N, D)` and the position t `(B, 1)`, all zero at the start. The step is differentiable;
`sequence` is the same network over many ticks at once, for training, with the attention of that code in a sequence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from astroedge.errors import InputError

BASE = 2.0**16  # θ


@dataclass(frozen=True)
class BDHConfig:
    """Sizes of a `BDH`; `neurons` is N, the neurons of a head, an even number."""

    vocabulary: int = 256
    width: int = 256
    heads: int = 4
    neurons: int = 256
    layers: int = 6

    def __post_init__(self) -> None:
        """Refuse sizes that no network can have."""
        if min(self.vocabulary, self.width, self.heads, self.neurons, self.layers) < 1:
            raise InputError(f"A BDH needs sizes of at least 1; got {self}.")
        if self.neurons % 2:
            raise InputError(f"The neurons of a BDH turn in pairs: their number must be even, not {self.neurons}.")


class BDH(nn.Module):
    """BDH-GPU, a token-level language model; `forward` is one tick."""

    output_names = ("logits",)
    frequencies: Tensor

    def __init__(self, config: BDHConfig | None = None) -> None:
        """Fresh weights from torch's global generator."""
        super().__init__()
        self.config = config = config or BDHConfig()
        width, all_neurons = config.width, config.heads * config.neurons
        self.embedding = nn.Embedding(config.vocabulary, width)
        self.E = nn.Linear(width, all_neurons, bias=False)  # all heads in one matrix
        self.F = nn.Parameter(torch.empty(config.heads, width, config.neurons))
        self.Dec = nn.Linear(all_neurons, width, bias=False)
        self.head = nn.Linear(width, config.vocabulary, bias=False)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.02)
        pairs = torch.arange(0, config.neurons, 2, dtype=torch.float64)
        turns = BASE ** (-pairs / config.neurons) / (2 * math.pi)  # a position
        self.register_buffer("frequencies", turns.float(), persistent=False)

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        return [*(f"layers.{layer}.S" for layer in range(self.config.layers)), "t"]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: empty memories at position 0."""
        config = self.config
        shape = (batch, config.heads, config.neurons, config.width)
        return [*(torch.zeros(shape) for _ in range(config.layers)), torch.zeros(batch, 1)]

    def forward(self, token: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: `token (B,)` int64 and the state → `logits (B, vocabulary)` and the next state."""
        *memories, position = state
        angles = (2 * math.pi) * torch.remainder(position * self.frequencies, 1.0)
        cosine, sine = torch.cos(angles)[:, None], torch.sin(angles)[:, None]  # (B, 1, N / 2)
        x, following = _normed(self.embedding(token)), []
        for memory in memories:
            x, memory = self._layer(x, memory, cosine, sine)
            following.append(memory)
        return self.head(x), *following, position + 1

    def sequence(self, tokens: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Whole sequences: `tokens (B, T)` int64 → `logits (B, T, vocabulary)` and the state after the last token.

        Time and memory grow with T², so long texts are given in windows.
        """
        *memories, position = state
        time = position[..., None] + torch.arange(tokens.shape[1], device=position.device)[:, None]  # (B, T, 1)
        angles = (2 * math.pi) * torch.remainder(time * self.frequencies, 1.0)
        cosine, sine = torch.cos(angles)[:, None], torch.sin(angles)[:, None]  # (B, 1, T, N / 2)
        x, following = _normed(self.embedding(tokens)), []
        for memory in memories:
            x, memory = self._layer_sequence(x, memory, cosine, sine)
            following.append(memory)
        return self.head(x), [*following, position + tokens.shape[1]]

    def _layer_sequence(self, x: Tensor, memory: Tensor, cosine: Tensor, sine: Tensor) -> tuple[Tensor, Tensor]:
        """One layer over `x (B, T, D)` → the next `x` and the last S."""
        config = self.config
        a = torch.relu(self.E(x)).unflatten(-1, (config.heads, config.neurons)).transpose(1, 2)  # (B, h, T, N)
        turned, stored = _turned(a, cosine, sine), x[:, None]
        c = (turned @ turned.mT).tril(-1) @ stored + turned @ memory
        g = torch.relu(_normed(c) @ self.F)
        y = self.Dec((a * g).transpose(1, 2).flatten(2))
        return _normed(x + _normed(y)), memory + turned.mT @ stored

    def _layer(self, x: Tensor, memory: Tensor, cosine: Tensor, sine: Tensor) -> tuple[Tensor, Tensor]:
        """One layer: `x (B, D)` and its S → the next `x` and S."""
        config = self.config
        a = torch.relu(self.E(x)).reshape(-1, config.heads, config.neurons)
        turned = _turned(a, cosine, sine)
        c = torch.matmul(turned[:, :, None], memory)  # (B, h, 1, D), of earlier ticks alone
        stored = memory + turned[..., None] * x[:, None, None]
        memory = torch.where(
            turned[..., None] != 0, stored, memory
        )  # silent neurons store 0: said so, it costs nothing
        g = torch.relu(torch.matmul(_normed(c), self.F))[:, :, 0]
        y = self.Dec((a * g).reshape(-1, config.heads * config.neurons))
        return _normed(x + _normed(y)), memory


def _normed(x: Tensor) -> Tensor:
    """LN: a layer norm over the last axis, without weights."""
    return layer_norm(x, x.shape[-1:])


def _turned(a: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rot: `a (…, N)` with each pair of neighbours turned."""
    u, w = a[..., ::2], a[..., 1::2]
    return torch.stack((u * cosine - w * sine, w * cosine + u * sine), dim=-1).flatten(-2)
