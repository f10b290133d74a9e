"""snnTorch's neurons: every reset mechanism, delayed and at once, state hidden in them or in the caller's hands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn

from tests.conformance.cases import DECAY, HIDDEN, OUTPUTS, Case, Layers, Weights, draw_weights

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
]
