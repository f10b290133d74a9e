"""Delays that learn (DCLS): a `DelayNetwork` over whole sequences, in the form in which it is trained.

The form of arXiv 2306.17670 (repository Thvnvtos/SNN-delays). A synapse has a weight w and a real position P, from
−(K − 1)/2 to (K − 1)/2, and its K taps share the weight by a normal curve of width |σ| + 0.27 around it:

    g_k = e^{−½ ((k − (K − 1)/2 − P) / (|σ| + 0.27))²}        kernel_k = w g_k / (Σ_k g_k + 1e−7)        k = 0 … K − 1

Tap k reads what came K − 1 − k ticks ago, so that the delay is (K − 1)/2 − P. A layer is this convolution in time, with
zeros before the sequence, then batch normalisation, then LIF neurons. While σ falls from K // 2 to 0.23 the positions
follow their gradients; with σ None positions are rounded, every synapse has the one tap that the step has, and weights
alone learn, which is our addition: the paper rounds only to evaluate.

Ours too: the time constants of membranes learn, one a neuron; normalisation counts no tick behind the end of a shorter
sequence; there is no tail, as in `DelayStream`. Spikes learn by the surrogate of `astroedge.models.spiking_scan`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from astroedge.errors import InputError
from astroedge.models.delay_network import DelayedLinear, DelayNetwork
from astroedge.models.spiking_scan import fires_at

NARROWEST, LAST_SIGMA = 0.27, 0.23  # ticks


class LearntDelayedLinear(nn.Module):
    """Weights and positions `(outputs, inputs)` of a layer, and the normalisation after it."""

    def __init__(self, step: DelayedLinear) -> None:
        """Begin with the weights and delays of `step`, delays as positions."""
        super().__init__()
        self.taps = step.taps
        self.weight = nn.Parameter(step.weight.detach().clone())
        self.position = nn.Parameter(step.taps // 2 - step.delay.to(step.weight.dtype))
        self.norm = nn.BatchNorm1d(len(step.weight))

    def kernel(self, sigma: float | None) -> Tensor:
        """What each tap of each synapse weighs, `(outputs, inputs, K)`; one tap for a `sigma` of None."""
        half = self.taps // 2
        position = self.position.clamp(-half, half)
        if sigma is None:
            return self.weight[..., None] * nn.functional.one_hot((position.round() + half).long(), self.taps)
        distance = torch.arange(self.taps, device=position.device) - half - position[..., None]
        curve = torch.exp(-0.5 * (distance / (abs(sigma) + NARROWEST)) ** 2)
        return self.weight[..., None] * curve / (curve.sum(-1, keepdim=True) + 1e-7)

    def forward(self, x: Tensor, valid: Tensor, sigma: float | None) -> Tensor:
        """Normalised currents `(T, B, outputs)` of `x (T, B, inputs)`; 0 where `valid (T, B)` is not."""
        padded = nn.functional.pad(x.permute(1, 2, 0), (self.taps - 1, 0))
        current = nn.functional.conv1d(padded, self.kernel(sigma)).permute(2, 0, 1)
        normalised = torch.zeros_like(current)
        normalised[valid] = self.norm(current[valid])
        return normalised


class LearntDelays(nn.Module):
    """The network of a `DelayNetwork` with positions that learn; `settle` gives that network what was learnt."""

    def __init__(self, network: DelayNetwork, dropout: float = 0.0) -> None:
        """Begin with its weights, delays and decays. `dropout`: share of neurons left out of a sequence in training.

        Raises InputError for a network with a decay that is not between 0 and 1.
        """
        super().__init__()
        decays = [decay.detach() for decay in network.decays]
        if any(bool(((decay <= 0) | (decay >= 1)).any()) for decay in decays):
            raise InputError("A membrane decays by a factor of 0, or of 1 and more: learn delays with tau above 1.")
        self.layers = nn.ModuleList(
            LearntDelayedLinear(layer) for layer in network.layers if isinstance(layer, DelayedLinear)
        )
        self.leaks = nn.ParameterList(torch.logit(decay) for decay in decays)
        self.dropout = dropout
        self.threshold: Tensor
        self.register_buffer("threshold", network.threshold.clone())

    def forward(self, x: Tensor, valid: Tensor, sigma: float | None) -> tuple[Tensor, list[Tensor]]:
        """Sequences `x (T, B, inputs)`, which go on where `valid (T, B)` → `y (T, B, outputs)` and spikes by layer."""
        spikes: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            current, decay = layer(x, valid, sigma), torch.sigmoid(self.leaks[index])
            if index == len(self.layers) - 1:
                return self._integrate(current, decay), spikes
            spikes.append(self._fire(current, decay))
            x = spikes[-1]
            if self.training and self.dropout:
                x = nn.functional.dropout(torch.ones_like(x[0]), self.dropout) * x
        raise AssertionError("a network has layers")

    def settle(self, network: DelayNetwork) -> None:
        """Give `network` what was learnt: rounded delays, weights with the normalisation folded in, decays."""
        with torch.no_grad():
            for learnt, layer in zip(self.layers, network.layers, strict=True):
                assert isinstance(learnt, LearntDelayedLinear)
                assert isinstance(layer, DelayedLinear)
                layer.take(learnt.weight, learnt.position, learnt.norm)
            for leak, decay in zip(self.leaks, network.decays, strict=True):
                decay.copy_(torch.sigmoid(leak))

    def _fire(self, current: Tensor, decay: Tensor) -> Tensor:
        """The spikes of LIF neurons; their reset is not differentiated."""
        v, fired = torch.zeros_like(current[0]), []
        for given in current:
            v = v * decay + given
            fired.append(fires_at(v, self.threshold, self.training))
            v = v * (1 - fired[-1].detach())
        return torch.stack(fired)

    @staticmethod
    def _integrate(current: Tensor, decay: Tensor) -> Tensor:
        """The membranes of neurons that never fire."""
        v, membranes = torch.zeros_like(current[0]), []
        for given in current:
            v = v * decay + given
            membranes.append(v)
        return torch.stack(membranes)
