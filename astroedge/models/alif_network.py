"""A recurrent network of adaptive-threshold neurons (ALIF, LSNN), of the size used for the Spiking Heidelberg Digits.

The neuron of the authors' LSNN-official repository (arXiv 1803.09574), without refractory period, one tick of delay in
the recurrence. One tick of a layer of `N` neurons reading spikes `x`:

    b = ρ b_prev + (1 − ρ) z_prev           the adaptation, ρ = exp(−1 / τ_a)
    ϑ = ϑ_0 + β b                           the threshold
    i = W_in x + W_rec z_prev + c           W_rec has a zero diagonal: no neuron excites itself
    v = α v_prev + (1 − α) i − ϑ z_prev     the membrane, α = exp(−1 / τ); a spike is taken off a tick later
    z = 1 where v_prev > ϑ, else 0          as in that code, the membrane before this tick's current decides

The constant current `c` of each neuron is an addition of ours. Layers follow each other within a tick, and a readout
`y = κ y_prev + (1 − κ)(W_y z_L + b_y)`, κ = α, integrates and never fires. In training the derivative of a spike is the
published one, `0.3 max(0, 1 − |v'|)` with `v' = (v_prev − ϑ) / ϑ`, and the diagonal of W_rec stays zero.

State: v, z, b of each layer `(B, N)`, then y `(B, outputs)`; zero at the start. z is a spike tensor that arrives as a
state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from astroedge.models.standardise import Standardise

TAU, TAU_ADAPTATION = 20.0, 200.0  # ticks of 1 ms, as published
THRESHOLD, BETA = 0.01, 1.6
DAMPENING = 0.3  # of the derivative of a spike


class ALIF(nn.Module):
    """One recurrent layer of adaptive-threshold neurons; in training, spikes have the published derivative."""

    alpha: float | Tensor
    gain: float | Tensor
    rho: float | Tensor
    share: float | Tensor
    threshold: float | Tensor
    beta: float | Tensor

    def __init__(
        self,
        inputs: int,
        neurons: int,
        *,
        tau: float | Tensor = TAU,
        tau_adaptation: float | Tensor = TAU_ADAPTATION,
        threshold: float | Tensor = THRESHOLD,
        beta: float | Tensor = BETA,
    ) -> None:
        """Fresh weights from torch's global generator, of variance 1 / inputs as published, and currents around 0.

        The constants are numbers that all neurons share, or tensors `(neurons,)`, which a checkpoint holds.
        """
        super().__init__()
        self._hold(
            alpha=_decay_of(tau), gain=_rest_of(tau), rho=_decay_of(tau_adaptation), share=_rest_of(tau_adaptation)
        )
        self._hold(threshold=threshold, beta=beta)
        self.W_in, self.W_rec = nn.Linear(inputs, neurons), nn.Linear(neurons, neurons, bias=False)
        nn.init.normal_(self.W_in.weight, std=inputs**-0.5)
        nn.init.normal_(self.W_in.bias, std=0.5)
        nn.init.normal_(self.W_rec.weight, std=neurons**-0.5)
        with torch.no_grad():
            self.W_rec.weight.fill_diagonal_(0.0)

    def _hold(self, **constants: float | Tensor) -> None:
        """Tensors become buffers."""
        for name, value in constants.items():
            if isinstance(value, Tensor):
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)

    def forward(self, x: Tensor, v: Tensor, z: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One tick: spikes `x (B, inputs)` and v, z, b `(B, neurons)` → the next v, z, b."""
        b = self.rho * b + self.share * z
        threshold = self.threshold + self.beta * b
        recurrent = self._without_diagonal(z) if self.training else self.W_rec(z)
        current = self.W_in(x) + recurrent
        fired = _Spike.apply(v, threshold) if self.training else (v > threshold).to(v.dtype)  # type: ignore[no-untyped-call]
        return self.alpha * v + self.gain * current - threshold * z, fired, b

    def _without_diagonal(self, z: Tensor) -> Tensor:
        """`W_rec z` whose derivative leaves the diagonal alone, so that it stays zero."""
        weight = self.W_rec.weight
        return nn.functional.linear(z, weight * (1 - torch.eye(len(weight), dtype=weight.dtype, device=weight.device)))


def _decay_of(tau: float | Tensor) -> float | Tensor:
    """exp(−1 / τ), computed in double precision."""
    return torch.exp(-1 / tau.double()).float() if isinstance(tau, Tensor) else math.exp(-1 / tau)


def _rest_of(tau: float | Tensor) -> float | Tensor:
    """1 − exp(−1 / τ), computed in double precision."""
    return (1 - torch.exp(-1 / tau.double())).float() if isinstance(tau, Tensor) else 1 - math.exp(-1 / tau)


class ALIFNetwork(nn.Module):
    """Inputs → recurrent ALIF layers → leaky readout; `widths` are inputs, neurons of each layer, outputs.

    With `standardise` the inputs are raw numbers, brought to the training data's mean and scale first.
    """

    output_names = ("y",)

    def __init__(self, widths: Sequence[int] = (700, 512, 512, 20), standardise: bool = False) -> None:
        """Fresh weights from torch's global generator."""
        super().__init__()
        self.widths = tuple(widths)
        pairs = zip(self.widths[:-2], self.widths[1:-1], strict=True)
        self.layers = nn.ModuleList(ALIF(before, after) for before, after in pairs)
        self.readout = nn.Linear(self.widths[-2], self.widths[-1])
        self.kappa = math.exp(-1 / TAU)
        self.standardise = Standardise(self.widths[0]) if standardise else None

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        return [*(f"layers.{layer}.{name}" for layer in range(len(self.layers)) for name in "vzb"), "y"]

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: zeros."""
        widths = [width for width in self.widths[1:-1] for _ in "vzb"]
        return [torch.zeros(batch, width) for width in (*widths, self.widths[-1])]

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: spikes or numbers `x (B, inputs)` and the state → `y (B, outputs)` and the next state."""
        following: list[Tensor] = []
        x = x if self.standardise is None else self.standardise(x)
        for index, layer in enumerate(self.layers):
            v, x, b = layer(x, *state[3 * index : 3 * index + 3])
            following += (v, x, b)
        y = self.kappa * state[-1] + (1 - self.kappa) * self.readout(x)
        return y, *following, y


class _Spike(torch.autograd.Function):
    """1 where a membrane is above its threshold, else 0, with the published derivative of the normalised membrane."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, threshold: Tensor) -> Tensor:
        ctx.save_for_backward(v, threshold)
        return (v > threshold).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        v, threshold = ctx.saved_tensors
        ratio = v / threshold
        d_v = gradients[0] * DAMPENING * (1 - (ratio - 1).abs()).clamp(min=0) / threshold
        return d_v, -d_v * ratio
