"""A feed-forward network of LIF neurons whose synapses have learnt delays (DCLS), a tick at a time.

The networks of arXiv 2306.17670 (repository Thvnvtos/SNN-delays) after training, when each synapse has one tap. One
tick of a layer that reads `x`, with `d_ij` the delay of a synapse in ticks, 0 … K − 1, and batch normalisation folded
into w and b:

    I_i = Σ_j w_ij x_j[t − d_ij] + b_i
    v = v_prev (1 − 1/τ) + I      s = 1 where v ≥ 1, else 0      v = v (1 − s)
    y = y_prev (1 − 1/τ) + I      of the last layer, which never fires

There are two forms of I, equal but for the order of the sums:

- `push`: currents that wait, `P (K, N)`; a spike adds its weights to them, `P[d_ij, i] += w_ij x_j`, as one product of
  the spikes with a matrix of K N columns; `P[0]` is due and the others move up;
- `ring`: the last K inputs, `R (K, inputs)`, written at slot t mod K and read at slot (t − d_ij) mod K.

In training a layer is a convolution in time, K − 1 zeros before the sequence and (K − 1)/2 after it: each layer makes
the sequence (K − 1)/2 ticks longer. So a presentation of T ticks goes on for (K − 1)/2 ticks a layer with x = 0, and
layer l is silent from tick T + l (K − 1)/2 on: the input `after`, 0 during the presentation and 1, 2, … after it,
says so. A stream without an end has `after` = 0. The class is that of the largest Σ_t softmax(y_t).

Sizes, K = 25 and τ = 1.005 ticks of 10 ms are those for the Spiking Heidelberg Digits, whose 700 channels are summed in
fives: inputs are counts. Dropout is left out. That τ may differ between neurons, and the surrogate derivative, that of
`astroedge.models.spiking_scan` instead of ATan(5), are ours. Delays do not learn here: `learnt_delays` trains them.

State: for `push` P of each layer `(B, K, N)`; for `ring` R of each layer `(B, K, inputs)` and one slot `(B, 1)`, int64;
then v of each layer `(B, N)`, the last of which is y; zero at the start.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from astroedge.errors import InputError
from astroedge.models.spiking_scan import fires_at
from astroedge.models.standardise import Standardise

FORMS = ("push", "ring")


class DelayedLinear(nn.Module):
    """Weights `(outputs, inputs)`, a bias, and a delay of 0 … `taps` − 1 ticks for each weight."""

    delay: Tensor

    def __init__(self, inputs: int, outputs: int, taps: int) -> None:
        """Fresh weights and delays from torch's global generator."""
        super().__init__()
        linear = nn.Linear(inputs, outputs)
        self.taps, self.weight, self.bias = taps, linear.weight, linear.bias
        self.register_buffer("delay", torch.randint(taps, (outputs, inputs)))

    def take(self, weight: Tensor, position: Tensor, norm: nn.BatchNorm1d | None = None) -> None:
        """Take what DCLS learnt: weights and positions `(outputs, inputs)`, −K/2 … K/2, and the normalisation after it.

        A position P is a delay of K // 2 − round(P) ticks; DCLS divides the one tap by 1 + 1e−7. The normalisation is
        folded into weight and bias with its running mean and variance.
        """
        with torch.no_grad():
            self.delay.copy_((self.taps // 2 - position.round()).clamp(0, self.taps - 1))
            weight = weight / (1 + 1e-7)
            scale, shift = torch.ones(len(weight)), torch.zeros(len(weight))
            if norm is not None:
                mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
                scale = norm.weight / torch.sqrt(variance + norm.eps)
                shift = norm.bias - mean * scale
            self.weight.copy_(weight * scale[:, None])
            self.bias.copy_(shift)

    def push(self, x: Tensor, waiting: Tensor) -> tuple[Tensor, Tensor]:
        """One tick: `x (B, inputs)` and waiting currents `(B, K, outputs)` → what is due `(B, outputs)`, the rest."""
        outputs, inputs = self.weight.shape
        taps = torch.zeros(outputs, inputs, self.taps, dtype=x.dtype, device=x.device)
        taps = taps.scatter(2, self.delay[..., None], self.weight[..., None]).permute(2, 0, 1)
        waiting = waiting + nn.functional.linear(x, taps.reshape(-1, inputs)).reshape(-1, self.taps, outputs)
        moved = torch.cat([waiting[:, 1:], torch.zeros_like(waiting[:, :1])], dim=1)
        return waiting[:, 0] + self.bias, moved

    def read(self, ring: Tensor, slot: Tensor) -> Tensor:
        """The currents `(B, outputs)` due when the newest inputs are in `slot (B, 1)` of `ring (B, K, inputs)`."""
        place = slot[..., None] - self.delay
        place = torch.where(place < 0, place + self.taps, place)
        return (ring.gather(1, place) * self.weight).sum(-1) + self.bias


class DelayNetwork(nn.Module):
    """Inputs → LIF layers → readout, all with delays; `widths` are inputs, neurons of each layer, outputs."""

    output_names = ("y",)
    threshold: Tensor

    def __init__(
        self, widths: Sequence[int] = (140, 256, 256, 20), taps: int = 25, tau: float = 1.005, *, form: str = "push"
    ) -> None:
        """Fresh weights and delays from torch's global generator. Raises InputError for another form or even `taps`."""
        super().__init__()
        if form not in FORMS or taps % 2 == 0:
            raise InputError(f"Form {form!r}, {taps} taps: a form is push or ring, and taps are odd. Correct them.")
        self.widths, self.taps, self.form = tuple(widths), taps, form
        pairs = zip(self.widths[:-1], self.widths[1:], strict=True)
        self.layers = nn.ModuleList(DelayedLinear(before, after, taps) for before, after in pairs)
        self.decays = nn.ParameterList(torch.full((width,), 1 - 1 / tau) for width in self.widths[1:])
        self.register_buffer("threshold", torch.ones(1))

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        layers = range(len(self.layers))
        lines = [f"layers.{layer}.{'waiting' if self.form == 'push' else 'ring'}" for layer in layers]
        return [*lines, *(["slot"] if self.form == "ring" else []), *(f"layers.{layer}.v" for layer in layers)]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: zeros."""
        held = self.widths[1:] if self.form == "push" else self.widths[:-1]
        lines = [torch.zeros(batch, self.taps, width) for width in held]
        slot = [torch.zeros(batch, 1, dtype=torch.int64)] if self.form == "ring" else []
        return [*lines, *slot, *(torch.zeros(batch, width) for width in self.widths[1:])]

    def forward(self, x: Tensor, after: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: counts `x (B, inputs)`, `after (B, 1)` and the state → `y (B, outputs)` and the next state."""
        return self.tick(x, after, state)

    def tick(self, x: Tensor, after: Tensor | None, state: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """`forward`; where `after` is None the stream has no end, and no layer falls silent."""
        count = len(self.layers)
        lines, membranes = list(state[:count]), list(state[-count:])
        slots = torch.arange(self.taps, device=x.device)[:, None]
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, DelayedLinear)
            if self.form == "push":
                current, lines[index] = layer.push(x, lines[index])
            else:
                lines[index] = torch.where(slots == state[count][..., None], x[:, None], lines[index])
                current = layer.read(lines[index], state[count])
            v = membranes[index] * self.decays[index] + current
            if index < count - 1:
                x = fires_at(v, self.threshold, self.training)
                v = v * (1 - x)
                if after is not None:
                    x = torch.where(after <= (index + 1) * (self.taps // 2), x, 0.0)
            membranes[index] = v
        following = [torch.where(slot + 1 == self.taps, 0, slot + 1) for slot in state[count:-count]]
        return v, *lines, *following, *membranes


class DelayStream(nn.Module):
    """A `DelayNetwork` that reads a stream of real features without an end.

    They are raw numbers, brought to the training data's mean and scale first, and no tail follows a presentation. The
    matrix of the first layer reads numbers, those behind it read spikes.
    """

    output_names = ("y",)

    def __init__(self, widths: Sequence[int], taps: int = 25, tau: float = 1.005, *, form: str = "push") -> None:
        """A fresh `DelayNetwork` of these arguments. Raises InputError as that does."""
        super().__init__()
        self.network = DelayNetwork(widths, taps, tau, form=form)
        self.standardise = Standardise(self.network.widths[0])

    def state_names(self) -> list[str]:
        """Names of the state tensors, those of the network."""
        return self.network.state_names()

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: zeros, as if every feature had been at its mean."""
        return self.network.initial_state(batch)

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: features `x (B, inputs)` and the state → `y (B, outputs)` and the next state."""
        return self.network.tick(self.standardise(x), None, state)
