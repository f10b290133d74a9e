"""snnTorch's neurons: every reset mechanism, delayed and at once, state hidden in them or in the caller's hands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn

from tests.conformance.cases import DECAY, HIDDEN, OUTPUTS, Case, Layers, Weights, draw_weights
from tests.conformance.snntorch_transcribed import slstm_layers

RESETS = ("subtract", "zero", "none")
Neuron = Callable[[int, float], nn.Module]  # neurons, decay


def _layers(neuron: Neuron, gain: float, tie: float) -> Callable[[Weights], nn.Module]:
    def build(weights: Weights) -> nn.Module:
        torch.manual_seed(3)
        decay = DECAY if weights is Weights.GRID else 0.83
        return draw_weights(Layers(neuron(HIDDEN, decay), neuron(OUTPUTS, decay)), weights, gain=gain, tie=tie)

    return build


def _case(cell: str, variant: str, neuron: Neuron, gain: float = 1.0, tie: float = 1.0, **options: Any) -> Case:
    return Case("snnTorch", cell, variant, _layers(neuron, gain, tie), **options)


def _leaky(**options: Any) -> Neuron:
    return lambda neurons, decay: snn.Leaky(beta=decay, init_hidden=True, **options)


def _synaptic(**options: Any) -> Neuron:
    return lambda neurons, decay: snn.Synaptic(alpha=0.5, beta=decay, init_hidden=True, **options)


def _alpha(**options: Any) -> Neuron:
    """On the grid 0.5 and 0.25, whose factor log α / (log β − log α) + 1 is exactly 2, so that there are ties."""

    def make(neurons: int, decay: float) -> nn.Module:
        alpha, beta = (0.5, 0.25) if decay == DECAY else (0.83, 0.7)
        return snn.Alpha(alpha=alpha, beta=beta, init_hidden=True, **options)

    return make


def _lapicque(**options: Any) -> Neuron:
    return lambda neurons, decay: snn.Lapicque(R=8.0, C=1.0, init_hidden=True, **options)


def _rleaky(one_to_one: bool = False, **options: Any) -> Neuron:
    def make(neurons: int, decay: float) -> nn.Module:
        links = {"all_to_all": False, "V": 0.5} if one_to_one else {"linear_features": neurons}
        return snn.RLeaky(beta=decay, init_hidden=True, **links, **options)

    return make


def _rsynaptic(**options: Any) -> Neuron:
    return lambda neurons, decay: snn.RSynaptic(
        alpha=0.5, beta=decay, linear_features=neurons, init_hidden=True, **options
    )


def _slstm(reset: str) -> Neuron:
    """As wide as its input: with another width snnTorch 1.0 clears its state in every tick, and export refuses it."""
    return lambda neurons, decay: snn.SLSTM(neurons, neurons, threshold=0.1, reset_mechanism=reset, init_hidden=True)


class ExplicitLeaky(nn.Module):
    """A network that takes and returns its membranes, as snnTorch's tutorials write it."""

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.linear = nn.ModuleList([nn.Linear(24, HIDDEN), nn.Linear(HIDDEN, OUTPUTS)])
        self.lif1, self.lif2 = snn.Leaky(beta=decay), snn.Leaky(beta=decay)

    def forward(self, x: Tensor, mem1: Tensor, mem2: Tensor) -> tuple[Tensor, ...]:
        """One tick."""
        spk1, mem1 = self.lif1(self.linear[0](x), mem1)
        spk2, mem2 = self.lif2(self.linear[1](spk1), mem2)
        return spk1, spk2, mem1, mem2


def _explicit(weights: Weights) -> nn.Module:
    return draw_weights(ExplicitLeaky(DECAY if weights is Weights.GRID else 0.83), weights)


CASES = [
    *(_case("Leaky", reset, _leaky(reset_mechanism=reset)) for reset in RESETS),
    *(_case("Leaky", f"{r} at once", _leaky(reset_mechanism=r, reset_delay=False)) for r in ("subtract", "zero")),
    Case("snnTorch", "Leaky", "explicit", _explicit, states=(torch.zeros(1, HIDDEN), torch.zeros(1, OUTPUTS))),
    *(_case("Synaptic", reset, _synaptic(reset_mechanism=reset)) for reset in RESETS),
    _case("Synaptic", "subtract at once", _synaptic(reset_delay=False)),
    *(_case("Alpha", reset, _alpha(reset_mechanism=reset), gain=2.0, tie=2.0) for reset in RESETS),
    *(_case("Lapicque", reset, _lapicque(reset_mechanism=reset)) for reset in RESETS),
    *(_case("RLeaky", reset, _rleaky(reset_mechanism=reset)) for reset in RESETS),
    _case("RLeaky", "zero at once", _rleaky(reset_mechanism="zero", reset_delay=False)),
    _case("RLeaky", "one to one", _rleaky(one_to_one=True)),
    *(_case("RSynaptic", reset, _rsynaptic(reset_mechanism=reset)) for reset in RESETS),
    *(_case("SLSTM", reset, _slstm(reset), exact=False, transcription=slstm_layers) for reset in RESETS),
]
