"""sinabs' neurons in their Squeeze form: one spike or several a tick, subtracting and zeroing resets, a lower bound."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import sinabs.activation as activation
import sinabs.layers as layers
import torch
from torch import nn

from tests.conformance.cases import DECAY, OUTPUTS, Case, Layers, Weights, draw_weights, signals

LOWEST = -0.5  # potential
Neuron = Callable[[float], nn.Module]  # what a membrane keeps in a tick


def _case(cell: str, variant: str, neuron: Neuron, gain: float = 1.0, tie: float = 1.0, **options: Any) -> Case:
    def build(weights: Weights) -> nn.Module:
        keeps = DECAY if weights is Weights.GRID else 0.83
        return draw_weights(Layers(neuron(keeps), neuron(keeps)), weights, gain=gain, tie=tie)

    return Case("sinabs", cell, variant, build, **options)


def _iaf(**options: Any) -> Neuron:
    return lambda _: layers.IAFSqueeze(batch_size=1, **options)


def _leaky(kind: Any, synapse: float | None = None, **options: Any) -> Neuron:
    """With decays as its parameters, which sinabs otherwise computes as exp(-1 / tau)."""

    def make(keeps: float) -> nn.Module:
        syn = {} if synapse is None else {"tau_syn": 2.0}
        cell = kind(tau_mem=8.0, train_alphas=True, norm_input=False, batch_size=1, **syn, **options)
        cell.alpha_mem.data = torch.tensor(keeps)
        if synapse is not None:
            cell.alpha_syn.data = torch.tensor(synapse)
        return cell

    return make


def _images() -> nn.Module:
    """Convolutions of two 8 × 8 images whose spikes are summed over windows, as on sinabs' chips."""
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1, bias=False), layers.IAFSqueeze(batch_size=1),
        layers.SumPool2d(2), nn.Conv2d(8, 12, 3), layers.IAFSqueeze(batch_size=1),
        nn.Flatten(), nn.Linear(48, OUTPUTS), layers.IAFSqueeze(batch_size=1, **SINGLE),
    )  # fmt: skip


def _network(weights: Weights) -> nn.Module:
    return draw_weights(_images(), weights, gain=0.7)


SINGLE: dict[str, Any] = {"spike_fn": activation.SingleSpike}
CASES = [
    _case("IAF", "several spikes", _iaf()),
    _case("IAF", "one spike, lower bound", _iaf(min_v_mem=LOWEST, **SINGLE)),
    _case("IAF", "one spike, reset to 0", _iaf(reset_fn=activation.MembraneReset(), **SINGLE)),
    _case("LIF", "several spikes", _leaky(layers.LIFSqueeze)),
    _case("LIF", "at most two spikes", _leaky(layers.LIFSqueeze, spike_fn=activation.MaxSpike(2))),
    _case("LIF", "one spike, synapse", _leaky(layers.LIFSqueeze, 0.5, **SINGLE), gain=2.0, tie=2.0),
    Case("sinabs", "Conv2d, SumPool2d", "", _network, draw=partial(signals, shape=(1, 2, 8, 8)), ties=False),
]
