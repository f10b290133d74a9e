"""SpikingRWKV: an RWKV-4 language model whose matrices all read spikes, after SpikeGPT.

Known, from the code of ridgerchu/SpikeGPT and BlinkDL/RWKV-LM: token shift, time mixing with the `wkv` recurrence,
channel mixing, and that SpikeGPT passes the output of each branch through a leaky integrate-and-fire neuron of decay
1/2 with hard reset and adds its spikes to the residual. There, a layer norm makes the input of every matrix dense.

**Our reading, not the authors' model:** so that the matrices read spikes, such a neuron (`LIF` below) also stands
before each of them: after the token shift, between `r ⊙ wkv` and its projection, and in the channel mixing in place of
the squared ReLU. Thresholds are one parameter a population. No pre-trained weights fit it.

One tick of a layer, `D` = width, `Θ` the step that is 1 at 0, LIF(y): `q = q_prev / 2 + y`, `s = Θ(q − θ)`,
`q_next = q (1 − s)` (SpikeGPT's `q + (y − q)/2` with threshold 1, in units twice as large: θ starts at 2):

    x1  = LayerNorm(x)             m• = μ_• x1 + (1 − μ_•) x1_prev           for • = r, k, v
    r   = σ(W_r LIF(m_r))          k  = W_k LIF(m_k)          v = W_v LIF(m_v)
    p   = max(pp, u + k)           wkv = (e^{pp−p} aa + e^{u+k−p} v) / (e^{pp−p} bb + e^{u+k−p})
    p   = max(pp + w, k)           aa_next = e^{pp+w−p} aa + e^{k−p} v
    pp_next = p                    bb_next = e^{pp+w−p} bb + e^{k−p}
    x   = x + LIF(W_o LIF(r ⊙ wkv))
    x2  = LayerNorm(x)             n• = ν_• x2 + (1 − ν_•) x2_prev           for • = r, k
    x   = x + LIF(σ(W'_r LIF(n_r)) ⊙ W'_v LIF(W'_k LIF(n_k)))

w = −exp(time_decay) < 0 and u = time_first are one a channel. An embedding and a layer norm come before the layers; a
layer norm and a dense linear head after them.

State of a layer, `(B, D)` unless said: x1, aa, bb, pp (−1e30 at the start, the rest 0), the membranes of m_r, m_k, m_v,
r ⊙ wkv and the time branch, x2, the membranes of n_r, n_k, of the hidden layer `(B, F)` and the channel branch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from astroedge.errors import InputError
from astroedge.models.lif import LIF
from astroedge.models.rwkv4 import EMPTY, remember


@dataclass(frozen=True)
class SpikingRWKVConfig:
    """Sizes of a `SpikingRWKV`; the defaults have 24.7 million weights."""

    vocabulary: int = 4096
    width: int = 512
    feed_forward: int = 2048
    layers: int = 6

    def __post_init__(self) -> None:
        """Refuse sizes that no network can have."""
        if min(self.vocabulary, self.width, self.feed_forward, self.layers) < 1:
            raise InputError(f"A SpikingRWKV needs sizes of at least 1; got {self}.")


class TokenShift(nn.Module):
    """Per channel a mixture of this tick's value and the last one's: `μ x + (1 − μ) x_prev`."""

    def __init__(self, width: int) -> None:
        """Spread μ evenly over the channels, as RWKV-4 starts its first layer."""
        super().__init__()
        self.mu = nn.Parameter(torch.arange(width) / width)

    def forward(self, x: Tensor, previous: Tensor) -> Tensor:
        """`x` and `previous` `(B, D)` → `(B, D)`."""
        return self.mu * x + (1 - self.mu) * previous


class TimeMix(nn.Module):
    """The branch that remembers: `wkv` is a decaying average of values, weighted by the exponentials of their keys."""

    membranes = ("neuron_r.v", "neuron_k.v", "neuron_v.v", "neuron_o.v", "neuron_out.v")
    memories = ("aa", "bb", "pp")

    def __init__(self, width: int) -> None:
        """Fresh weights from torch's global generator; decays spread from slow to fast."""
        super().__init__()
        self.shift_r, self.shift_k, self.shift_v = (TokenShift(width) for _ in range(3))
        self.W_r, self.W_k, self.W_v, self.W_o = (_reads_spikes(width, width) for _ in range(4))
        self.time_decay = nn.Parameter(torch.linspace(-5.0, 3.0, width))
        self.time_first = nn.Parameter(torch.full((width,), -1.2))
        self.neuron_r, self.neuron_k, self.neuron_v, self.neuron_o, self.neuron_out = (_neuron() for _ in range(5))

    def forward(self, x: Tensor, previous: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: normed `x`, the last tick's, then aa, bb, pp and five membranes → spikes and the next state."""
        aa, bb, pp, v_r, v_k, v_v, v_o, v_out = state
        s_r, v_r = self.neuron_r(self.shift_r(x, previous), v_r)
        s_k, v_k = self.neuron_k(self.shift_k(x, previous), v_k)
        s_v, v_v = self.neuron_v(self.shift_v(x, previous), v_v)
        r, k, v = torch.sigmoid(self.W_r(s_r)), self.W_k(s_k), self.W_v(s_v)
        wkv, *memories = remember(k, v, aa, bb, pp, first=self.time_first, decay=self.time_decay)
        s_o, v_o = self.neuron_o(r * wkv, v_o)
        s, v_out = self.neuron_out(self.W_o(s_o), v_out)
        return s, *memories, v_r, v_k, v_v, v_o, v_out


class ChannelMix(nn.Module):
    """The feed-forward branch, gated."""

    membranes = ("neuron_r.v", "neuron_k.v", "neuron_hidden.v", "neuron_out.v")

    def __init__(self, width: int, feed_forward: int) -> None:
        """Fresh weights from torch's global generator."""
        super().__init__()
        self.shift_r, self.shift_k = TokenShift(width), TokenShift(width)
        self.W_r, self.W_k = _reads_spikes(width, width), _reads_spikes(width, feed_forward)
        self.W_v = _reads_spikes(feed_forward, width)
        self.neuron_r, self.neuron_k, self.neuron_hidden, self.neuron_out = (_neuron() for _ in range(4))

    def forward(self, x: Tensor, previous: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: normed `x`, the last tick's and four membranes → spikes and the next membranes."""
        v_r, v_k, v_hidden, v_out = state
        s_r, v_r = self.neuron_r(self.shift_r(x, previous), v_r)
        s_k, v_k = self.neuron_k(self.shift_k(x, previous), v_k)
        s_hidden, v_hidden = self.neuron_hidden(self.W_k(s_k), v_hidden)
        s, v_out = self.neuron_out(torch.sigmoid(self.W_r(s_r)) * self.W_v(s_hidden), v_out)
        return s, v_r, v_k, v_hidden, v_out


class SpikingRWKVBlock(nn.Module):
    """One layer: time mixing, then channel mixing, the spikes of each added to the residual."""

    def __init__(self, config: SpikingRWKVConfig) -> None:
        """Fresh weights from torch's global generator."""
        super().__init__()
        self.norm_time, self.norm_channel = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.time, self.channel = TimeMix(config.width), ChannelMix(config.width, config.feed_forward)

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: the residual `x (B, D)` and the state → the residual and the next state."""
        split = 1 + len(TimeMix.memories) + len(TimeMix.membranes)
        normed_time = self.norm_time(x)
        s, *time = self.time(normed_time, *state[:split])
        x = x + s
        normed_channel = self.norm_channel(x)
        s, *channel = self.channel(normed_channel, *state[split:])
        return x + s, normed_time, *time, normed_channel, *channel


class SpikingRWKV(nn.Module):
    """A token-level language model; `forward` is one tick."""

    output_names = ("logits",)

    def __init__(self, config: SpikingRWKVConfig | None = None) -> None:
        """Fresh weights from torch's global generator."""
        super().__init__()
        self.config = config = config or SpikingRWKVConfig()
        self.embedding, self.norm_in = nn.Embedding(config.vocabulary, config.width), nn.LayerNorm(config.width)
        self.blocks = nn.ModuleList(SpikingRWKVBlock(config) for _ in range(config.layers))
        self.norm, self.head = nn.LayerNorm(config.width), nn.Linear(config.width, config.vocabulary, bias=False)

    def state_names(self) -> list[str]:
        """Names of the state tensors such as `blocks.0.time.aa`, in the order of `initial_state`."""
        time = [f"time.{name}" for name in ("x", *TimeMix.memories, *TimeMix.membranes)]
        channel = [f"channel.{name}" for name in ("x", *ChannelMix.membranes)]
        return [f"blocks.{layer}.{name}" for layer in range(self.config.layers) for name in time + channel]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick, in the order of `state_names`."""
        config = self.config
        widths = {"channel.neuron_hidden.v": config.feed_forward}
        names = [name.split(".", 2)[2] for name in self.state_names()]
        fills = {"time.pp": EMPTY}
        return [torch.full((batch, widths.get(name, config.width)), fills.get(name, 0.0)) for name in names]

    def forward(self, token: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: `token (B,)` int64 and the state → `logits (B, vocabulary)` and the next state."""
        x, following = self.norm_in(self.embedding(token)), []
        share = len(state) // len(self.blocks)
        for layer, block in enumerate(self.blocks):
            x, *new = block(x, *state[share * layer : share * (layer + 1)])
            following += new
        return self.head(self.norm(x)), *following


def _neuron() -> LIF:
    return LIF(decay=0.5, threshold=2.0)


def _reads_spikes(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer without bias whose outputs have unit variance when a tenth of its inputs fire."""
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, std=(0.1 * inputs) ** -0.5)
    return layer
