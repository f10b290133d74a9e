"""RWKV-4 and SpikeGPT: recurrent language models whose memory `wkv` is a decaying average of values.

One tick of a layer (code of BlinkDL/RWKV-LM and ridgerchu/SpikeGPT, arXiv 2305.13048 and 2302.13939), `D` the width,
`F` the feed-forward width, 4 D by default; S is the identity in RWKV-4:

    x_• = μ_• x1 + (1 − μ_•) x1_prev,  x1 = LayerNorm(x)                   time mixing, • = r, k, v
    r = σ(W_r x_r)      k = W_k x_k      v = W_v x_v
    p  = max(pp, u + k)       wkv = (e^{pp−p} aa + e^{u+k−p} v) / (e^{pp−p} bb + e^{u+k−p})
    p  = max(pp + w, k)       aa ← e^{pp+w−p} aa + e^{k−p} v       bb ← e^{pp+w−p} bb + e^{k−p}       pp ← p
    x  = x + S(W_o (r ⊙ wkv))
    x_• = ν_• x2 + (1 − ν_•) x2_prev,  x2 = LayerNorm(x)                   channel mixing, • = r, k
    x  = x + S(σ(W'_r x_r) ⊙ W'_v ReLU(W'_k x_k)²)

with w = −exp(time_decay) and u = time_first. pp is a running maximum that keeps the exponentials in range; a memory
that holds nothing has pp = −1e30, so the first tick gives wkv = v. In SpikeGPT the output of each branch passes a leaky
integrate-and-fire neuron S(y): `q = q_prev + (y − q_prev) / 2`, `s = 1 where q ≥ 1`, `q_next = q (1 − s)`, and the
embedding is binarised, 1 where it is ≥ 0. Its residual is a sum of spikes and the norms before the matrices make it
dense: what is sparse there are the spikes that are added and ReLU(·)², which W'_v reads.

Confirmed in those repositories are the equations of a layer, the neuron, the binarised embedding (the training code;
the published run script binarises small vocabularies only) and 216 million weights at 18 layers, D 768 and 50277
tokens. The layer norm after the embedding and the one before the head are from memory. The halving of weights every
six layers, which that run script has, is left out: it changes a network with thresholds. Sizes by default, a byte
model of six layers, and the weights' start are ours.

State of a layer, `(B, D)` each: x1, aa, bb, pp (−1e30 at the start, the rest 0) and x2; SpikeGPT adds the membranes
of the two branches. The step trains by backpropagation through time: spikes have a surrogate derivative in training.
`sequence` is the same network over many ticks at once, for training: the matrices read all ticks together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from astroedge.errors import InputError
from astroedge.models.spiking_scan import fire, resetting_scan, spike
from astroedge.models.wkv_scan import wkv_scan

EMPTY = -1e30  # the exponent `pp` of a memory that holds nothing yet
MEMORY = ("time.x", "time.aa", "time.bb", "time.pp", "channel.x")
MEMBRANES = ("time.q", "channel.q")


@dataclass(frozen=True)
class RWKV4Config:
    """Sizes of an `RWKV4` or a `SpikeGPT`; a `feed_forward` of 0 stands for four times the width."""

    vocabulary: int = 256
    width: int = 512
    layers: int = 6
    feed_forward: int = 0

    def __post_init__(self) -> None:
        """Refuse sizes that no network can have."""
        if min(self.vocabulary, self.width, self.layers) < 1 or self.feed_forward < 0:
            raise InputError(f"RWKV-4 needs sizes of at least 1, feed_forward 0 or more; got {self}.")


def remember(
    k: Tensor, v: Tensor, aa: Tensor, bb: Tensor, pp: Tensor, *, first: Tensor, decay: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Read the memory with this tick's key and value in it, then store them: `wkv`, next aa, bb, pp, all `(B, D)`.

    `first` is u, `decay` the time decay whose negative exponential is w, both `(D,)`.
    """
    now = first + k
    p = torch.maximum(pp, now)
    old, new = torch.exp(pp - p), torch.exp(now - p)
    wkv = (old * aa + new * v) / (old * bb + new)
    faded = pp - torch.exp(decay)
    p = torch.maximum(faded, k)
    old, new = torch.exp(faded - p), torch.exp(k - p)
    return wkv, old * aa + new * v, old * bb + new, p


class TokenMix(nn.Module):
    """Per channel and target a mixture of this tick's value and the last one's: `μ x + (1 − μ) x_prev`."""

    def __init__(self, width: int, targets: str) -> None:
        """Spread μ evenly over the channels, as RWKV-4 starts its first layer; one parameter a letter of `targets`."""
        super().__init__()
        self.mu = nn.ParameterDict({target: nn.Parameter(torch.arange(width) / width) for target in targets})

    def forward(self, x: Tensor, previous: Tensor) -> tuple[Tensor, ...]:
        """`x` and `previous` `(B, D)` → one `(B, D)` a target."""
        return tuple(mu * x + (1 - mu) * previous for mu in self.mu.values())


class RWKV4Block(nn.Module):
    """One layer: time mixing, then channel mixing, each added to the residual, as spikes if its state has membranes."""

    def __init__(self, config: RWKV4Config) -> None:
        """Fresh weights from torch's global generator; decays spread from slow to fast."""
        super().__init__()
        width, hidden = config.width, config.feed_forward or 4 * config.width
        self.norm_time, self.norm_channel = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix_time, self.mix_channel = TokenMix(width, "rkv"), TokenMix(width, "rk")
        self.W_r, self.W_k, self.W_v, self.W_o = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.time_decay = nn.Parameter(torch.linspace(-5.0, 3.0, width))
        self.time_first = nn.Parameter(torch.full((width,), -1.2))
        self.C_r, self.C_k = nn.Linear(width, width, bias=False), nn.Linear(width, hidden, bias=False)
        self.C_v = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: the residual `x (B, D)` and the state → the residual and the next state."""
        before_time, aa, bb, pp, before_channel, *membranes = state
        normed_time = self.norm_time(x)
        x_r, x_k, x_v = self.mix_time(normed_time, before_time)
        k, v = self.W_k(x_k), self.W_v(x_v)
        wkv, aa, bb, pp = remember(k, v, aa, bb, pp, first=self.time_first, decay=self.time_decay)
        y, *q_time = self._branch(self.W_o(torch.sigmoid(self.W_r(x_r)) * wkv), *membranes[:1])
        x = x + y
        normed_channel = self.norm_channel(x)
        x_r, x_k = self.mix_channel(normed_channel, before_channel)
        hidden = torch.relu(self.C_k(x_k))
        y, *q_channel = self._branch(torch.sigmoid(self.C_r(x_r)) * self.C_v(hidden * hidden), *membranes[1:])
        return x + y, normed_time, aa, bb, pp, normed_channel, *q_time, *q_channel

    def sequence(self, x: Tensor, *state: Tensor, spikes: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """All ticks of `x (T, B, D)`: the residual and the last state; spikes are noted in `spikes` by their state."""
        before_time, aa, bb, pp, before_channel, *membranes = state
        normed_time = self.norm_time(x)
        x_r, x_k, x_v = self.mix_time(normed_time, _shifted(normed_time, before_time))
        k, v = self.W_k(x_k), self.W_v(x_v)
        wkv, aa, bb, pp = wkv_scan(k, v, aa, bb, pp, first=self.time_first, decay=self.time_decay)
        y = self.W_o(torch.sigmoid(self.W_r(x_r)) * wkv)
        if membranes:
            y, membranes[0] = resetting_scan(y / 2, 0.5, membranes[0], 1.0)
            spikes["time.q"] = y
        x = x + y
        normed_channel = self.norm_channel(x)
        x_r, x_k = self.mix_channel(normed_channel, _shifted(normed_channel, before_channel))
        y = torch.sigmoid(self.C_r(x_r)) * self.C_v(torch.relu(self.C_k(x_k)) ** 2)
        if membranes:
            y, membranes[1] = resetting_scan(y / 2, 0.5, membranes[1], 1.0)
            spikes["channel.q"] = y
        return x + y, normed_time[-1], aa, bb, pp, normed_channel[-1], *membranes

    def _branch(self, y: Tensor, *membrane: Tensor) -> tuple[Tensor, ...]:
        """What a branch adds to the residual: `y` itself, or the spikes of a neuron and its next membrane."""
        if not membrane:
            return (y,)
        q = membrane[0] + (y - membrane[0]) / 2
        s = spike(q, 1.0) if self.training else fire(q, 1.0)
        return s, q * (1 - s.detach())


class RWKV4(nn.Module):
    """RWKV-4, a token-level language model; `forward` is one tick."""

    output_names = ("logits",)
    spiking = False

    def __init__(self, config: RWKV4Config | None = None) -> None:
        """Fresh weights from torch's global generator."""
        super().__init__()
        self.config = config = config or RWKV4Config()
        self.embedding, self.norm_in = nn.Embedding(config.vocabulary, config.width), nn.LayerNorm(config.width)
        self.blocks = nn.ModuleList(RWKV4Block(config) for _ in range(config.layers))
        self.norm, self.head = nn.LayerNorm(config.width), nn.Linear(config.width, config.vocabulary, bias=False)

    def state_names(self) -> list[str]:
        """Names of the state tensors such as `blocks.0.time.aa`, in the order of `initial_state`."""
        names = MEMORY + (MEMBRANES if self.spiking else ())
        return [f"blocks.{layer}.{name}" for layer in range(self.config.layers) for name in names]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: `(batch, D)` each, pp −1e30, the rest 0."""
        fills = [EMPTY if name.endswith(".pp") else 0.0 for name in self.state_names()]
        return [torch.full((batch, self.config.width), fill) for fill in fills]

    def forward(self, token: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: `token (B,)` int64 and the state → `logits (B, vocabulary)` and the next state."""
        x, following = self.norm_in(self._embed(token)), []
        share = len(state) // len(self.blocks)
        for layer, block in enumerate(self.blocks):
            x, *new = block(x, *state[share * layer : share * (layer + 1)])
            following += new
        return self.head(self.norm(x)), *following

    def sequence(
        self, tokens: Tensor, state: Sequence[Tensor], spikes: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Whole sequences: `tokens (B, T)` int64 → `logits (B, T, vocabulary)` and the state after the last token.

        If `spikes` is a dict, every spike tensor, `(T, B, D)`, is put into it under the name of its membrane.
        """
        x, following = self.norm_in(self._embed(tokens.t())), []
        share = len(state) // len(self.blocks)
        for layer, block in enumerate(self.blocks):
            fired: dict[str, Tensor] = {}
            x, *new = block.sequence(x, *state[share * layer : share * (layer + 1)], spikes=fired)  # type: ignore[operator]
            following += new
            if spikes is not None:
                spikes.update({f"blocks.{layer}.{name}": tensor for name, tensor in fired.items()})
        return self.head(self.norm(x)).transpose(0, 1), following

    def _embed(self, token: Tensor) -> Tensor:
        """The vector of each token."""
        return self.embedding(token)  # type: ignore[no-any-return]


class SpikeGPT(RWKV4):
    """SpikeGPT: an RWKV-4 whose embedding is binary and whose branches add spikes to the residual."""

    spiking = True

    def _embed(self, token: Tensor) -> Tensor:
        """The binary vector of each token."""
        vector = self.embedding(token)
        return spike(vector, 0.0) if self.training else fire(vector, 0.0)


def _shifted(x: Tensor, before: Tensor) -> Tensor:
    """A sequence `(T, B, D)` one tick late, `before` first."""
    return torch.cat((before[None], x[:-1]))
