"""AstroSNN: a spiking language model whose neurons are modulated by astrocytes.

This is a documented reading of the astrocyte-modulated spiking unit (AM-SU) of arXiv 2312.07625, not the authors' code.
Confirmed, from the tripartite-synapse panel of the authors' overview figure, are only three equations

    I_t = σ(x_t)          the postsynaptic current from the presynaptic release
    o_t = H_t q_t         what the astrocyte, with internal state H_t, gives back
    s_t = g(u_t + o_t)    the spike, from the membrane plus the astrocyte's current

and that a key (from the release) and a value enter H. Not confirmed, and chosen here: how H is updated and forgets,
the membrane's dynamics and reset, `g` as a step, `σ` as the logistic function, heads, shapes, the layout of a block,
the training.

One tick of a block, for `D` = width, `h` heads of `d = D / h`, `F` = feed-forward width, `Θ` the step that is 1 at 0:

    a  = α ⊙ a_prev + LayerNorm(x)          z  = Θ(a − θ_a)            a_next = a − z θ_a
    q  = Θ(W_q z − θ_q)                     k  = Θ(W_k z − θ_k)        v = W_v z
    H  = γ_h H_prev + k vᵀ                  o  = Hᵀ q / √d             γ_h = exp(−1 / τ_h), one time scale a head
    u  = λ ⊙ r_prev + σ(W_x z + b_x)        s  = Θ(u + o − θ_s)        r_next = u − s θ_s
    x  = x + W_o s
    c  = β ⊙ c_prev + LayerNorm(x)          z' = Θ(c − θ_c)            c_next = c − z' θ_c
    f  = φ ⊙ f_prev + W_up z' + b_up        z″ = Θ(f − θ_f)            f_next = f − z″ θ_f
    x  = x + W_down z″ + b_down

H is stored key first, `H[j, i]` for key `j` and value `i`, so that a spike of `q` selects a contiguous row. Every
matrix of a block reads spikes, so silence costs nothing. A token embedding comes before the blocks, a LayerNorm and a
linear head after.

State of a block, in this order: H `(B, h, d, d)`, a `(B, D)`, r `(B, D)`, c `(B, D)`, f `(B, F)`; all zero at the
start. The decays α, λ, β, φ (one a channel) and γ are learnt through unconstrained parameters and are constants in
the step that is exported.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astroedge.errors import InputError
from astroedge.models.decay import ConstantDecay, Decay, MemoryDecay
from astroedge.models.spiking_scan import decayed_attention
from astroedge.models.threshold import Threshold

EXPECTED_RATE = 0.15  # weights start so that a matrix reading spikes at this rate gives values of unit variance


@dataclass(frozen=True)
class AstroSNNConfig:
    """Sizes and constants of an `AstroSNN`.

    `theta_*` are the thresholds of the module's equations, where `own_thresholds` makes them one a neuron, which learn
    and start there. `shortest_memory` and `longest_memory` are the astrocytes'
    time scales τ in ticks at the start of training, spaced evenly in their logarithm over the heads. `dropout` is the
    chance that an element of the embedding or of what a block adds to `x` is left out in training.
    """

    vocabulary: int = 256
    width: int = 192
    heads: int = 6
    feed_forward: int = 512
    layers: int = 2
    theta_a: float = 1.0
    theta_q: float = 1.0
    theta_k: float = 1.0
    theta_s: float = 1.0
    theta_c: float = 1.0
    theta_f: float = 1.0
    shortest_memory: float = 4.0
    longest_memory: float = 512.0
    dropout: float = 0.1
    own_thresholds: bool = False

    def __post_init__(self) -> None:
        """Refuse sizes that no network can have."""
        sizes = (self.vocabulary, self.width, self.heads, self.feed_forward, self.layers)
        if min(sizes) < 1 or self.width % self.heads:
            raise InputError(f"An AstroSNN needs sizes of at least 1 and a width divisible by its heads; got {self}.")
        if not 0 < self.shortest_memory <= self.longest_memory:
            raise InputError(f"An AstroSNN's memories must be positive, the shortest first; got {self}.")

    @property
    def head_width(self) -> int:
        """`d`, the rows and columns of one head's H."""
        return self.width // self.heads


class AstrocyteUnit(nn.Module):
    """AM-SU: spiking neurons whose drive is their membrane plus what an astrocyte's matrix state gives back."""

    def __init__(self, config: AstroSNNConfig) -> None:
        """Fresh weights from torch's global generator; values start smaller where a memory adds up more of them."""
        super().__init__()
        self.config = config
        width, low, high = config.width, math.log(config.shortest_memory), math.log(config.longest_memory)
        taus = torch.exp(torch.linspace(low, high, config.heads))
        self.W_q, self.W_k, self.W_v = (_reads_spikes(width, width, bias=False) for _ in range(3))
        self.W_x = _reads_spikes(width, width)
        with torch.no_grad():
            self.W_v.weight /= taus.sqrt().repeat_interleave(config.head_width)[:, None]
            self.W_x.bias.fill_(-1.0)  # σ(−1) = 0.27: a membrane that nothing drives stays below its threshold
        self.gamma, self.lam = MemoryDecay(taus), Decay(width)
        thetas = (config.theta_q, config.theta_k, config.theta_s)
        self.theta_q, self.theta_k, self.theta_s = (Threshold(x, width, config.own_thresholds) for x in thetas)

    def step(self, z: Tensor, H: Tensor, r: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One tick: spikes `z (B, D)`, state `H`, `r` → spikes `s (B, D)`, next `H`, next `r`."""
        config = self.config
        heads = (-1, config.heads, config.head_width)
        q = self.theta_q.fire(self.W_q(z)).reshape(*heads)
        k = self.theta_k.fire(self.W_k(z)).reshape(*heads)
        v = self.W_v(z).reshape(*heads)
        H = self.gamma().reshape(-1, 1, 1) * H + k.unsqueeze(3) * v.unsqueeze(2)
        o = torch.matmul(q.unsqueeze(2), H).reshape(-1, config.width) * config.head_width**-0.5
        u = self.lam() * r + torch.sigmoid(self.W_x(z))
        s = self.theta_s.fire(u + o)
        return s, H, u - s * self.theta_s.value

    def forward(self, z: Tensor, H: Tensor, r: Tensor, spikes: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """A sequence `z (T, B, D)` → `s (T, B, D)`, last `H`, last `r`; `q`, `k` and `s` are noted in `spikes`."""
        config = self.config
        heads = (*z.shape[:2], config.heads, config.head_width)
        q, k = self.theta_q.spike(self.W_q(z)), self.theta_k.spike(self.W_k(z))
        v = self.W_v(z).reshape(heads)
        o, H = decayed_attention(q.reshape(heads), k.reshape(heads), v, self.gamma(), H)
        current, readout = torch.sigmoid(self.W_x(z)), o.reshape(z.shape) * config.head_width**-0.5
        s, r = self.theta_s.scan(current, self.lam(), r, readout)
        spikes.update({"astro.W_q.spike": q, "astro.W_k.spike": k, "astro.r.spike": s})
        return s, H, r


class Block(nn.Module):
    """One layer: spikes from `x`, the astrocyte unit, then a spiking feed-forward pair, each added to `x`."""

    def __init__(self, config: AstroSNNConfig) -> None:
        """Fresh weights from torch's global generator."""
        super().__init__()
        self.config = config
        width, feed_forward = config.width, config.feed_forward
        self.norm_a, self.norm_c = nn.LayerNorm(width), nn.LayerNorm(width)
        self.alpha, self.beta, self.phi = Decay(width), Decay(width), Decay(feed_forward)
        own = config.own_thresholds
        self.theta_a, self.theta_c = Threshold(config.theta_a, width, own), Threshold(config.theta_c, width, own)
        self.theta_f = Threshold(config.theta_f, feed_forward, own)
        self.astro = AstrocyteUnit(config)
        self.W_o = _reads_spikes(width, width, bias=False)
        self.W_up, self.W_down = _reads_spikes(width, feed_forward), _reads_spikes(feed_forward, width)

    def step(
        self, x: Tensor, H: Tensor, a: Tensor, r: Tensor, c: Tensor, f: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """One tick: `x (B, D)` and the state → `x` and the next state."""
        a = self.alpha() * a + self.norm_a(x)
        z = self.theta_a.fire(a)
        s, H, r = self.astro.step(z, H, r)
        x = x + self.W_o(s)
        c = self.beta() * c + self.norm_c(x)
        z_c = self.theta_c.fire(c)
        f = self.phi() * f + self.W_up(z_c)
        z_f = self.theta_f.fire(f)
        x = x + self.W_down(z_f)
        a, c = a - z * self.theta_a.value, c - z_c * self.theta_c.value
        return x, H, a, r, c, f - z_f * self.theta_f.value

    def forward(self, x: Tensor, state: list[Tensor], spikes: dict[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """A sequence `x (T, B, D)` → `x`, last state; spike tensors are noted in `spikes` by their names in a block."""
        config, (H, a, r, c, f) = self.config, state
        z, a = self.theta_a.scan(self.norm_a(x), self.alpha(), a)
        s, H, r = self.astro(z, H, r, spikes)
        x = x + F.dropout(self.W_o(s), config.dropout, self.training)
        z_c, c = self.theta_c.scan(self.norm_c(x), self.beta(), c)
        z_f, f = self.theta_f.scan(self.W_up(z_c), self.phi(), f)
        x = x + F.dropout(self.W_down(z_f), config.dropout, self.training)
        spikes.update({"a.spike": z, "c.spike": z_c, "f.spike": z_f})
        return x, [H, a, r, c, f]


class AstroSNN(nn.Module):
    """A token-level language model of `config.layers` blocks.

    `forward` takes whole sequences, for training; `step` takes one token, for inference. Both compute the same
    network; they add in different orders, so in float32 they agree to rounding, and a membrane that lies within
    rounding of its threshold may differ in a spike.
    """

    def __init__(self, config: AstroSNNConfig, embedding: nn.Module | None = None) -> None:
        """Fresh weights from torch's global generator.

        `embedding` is what turns an input into `x (…, D)` where that is no token, `vocabulary` then the head's outputs.
        """
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.width) if embedding is None else embedding
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm, self.head = nn.LayerNorm(config.width), nn.Linear(config.width, config.vocabulary)

    def state_names(self) -> list[str]:
        """Names of the state tensors such as `blocks.0.astro.H`, in the order of `initial_state` and `step`."""
        names = ("astro.H", "a", "astro.r", "c", "f")
        return [f"blocks.{layer}.{name}" for layer in range(self.config.layers) for name in names]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: zeros, in the order of `state_names`."""
        config, like = self.config, self.head.weight
        memory = (config.heads, config.head_width, config.head_width)
        shapes = [memory, (config.width,), (config.width,), (config.width,), (config.feed_forward,)] * config.layers
        return [torch.zeros((batch, *shape), dtype=like.dtype, device=like.device) for shape in shapes]

    def step(self, token: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: `token (B,)` int64 and the state → `logits (B, vocabulary)` and the next state, in its order."""
        x, following = self.embedding(token), []
        for layer, block in enumerate(self.blocks):
            x, *new = block.step(x, *state[5 * layer : 5 * layer + 5])  # type: ignore[operator]
            following += new
        return self.head(self.norm(x)), *following

    def forward(
        self, tokens: Tensor, state: list[Tensor] | None = None, spikes: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Whole sequences: `tokens (B, T)` int64 → `logits (B, T, vocabulary)` and the state after the last token.

        `state` is what came before, zeros if None. If `spikes` is a dict, every spike tensor, `(T, B, …)`, is put
        into it under a name such as `blocks.0.astro.r.spike`: the membrane or matrix it comes from.
        """
        state = self.initial_state(tokens.shape[0]) if state is None else state
        x = F.dropout(self.embedding(tokens.transpose(0, 1)), self.config.dropout, self.training)
        following: list[Tensor] = []
        for layer, block in enumerate(self.blocks):
            fired: dict[str, Tensor] = {}
            x, new = block(x, state[5 * layer : 5 * layer + 5], fired)
            following += new
            if spikes is not None:
                spikes.update({f"blocks.{layer}.{name}": tensor for name, tensor in fired.items()})
        return self.head(self.norm(x)).transpose(0, 1), following


class AstroSNNStep(nn.Module):
    """One tick of a trained `AstroSNN` with its state as arguments and its decays as constants: what is exported.

    `astroedge.export(step, (torch.tensor([10]),), step.initial_state())` exports it; the names of the states and of the
    output are taken from here.
    """

    output_names = ("logits",)

    def __init__(self, model: AstroSNN) -> None:
        """Copy `model` in evaluation mode and freeze its decays."""
        super().__init__()
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        for module in list(self.model.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, Decay | MemoryDecay):
                    setattr(module, name, ConstantDecay(child()))
        self.eval()

    def state_names(self) -> list[str]:
        """Names of the state tensors, in order."""
        return self.model.state_names()

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick."""
        return self.model.initial_state(batch)

    def forward(self, token: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """`token (B,)` int64 and the state → `logits (B, vocabulary)` and the next state."""
        return self.model.step(token, *state)


def _reads_spikes(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    """A linear layer whose outputs have unit variance if its inputs fire at `EXPECTED_RATE`; biases start at 0."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.normal_(layer.weight, std=(inputs * EXPECTED_RATE) ** -0.5)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer
