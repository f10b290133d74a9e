"""SpikingJelly's layers in single-step mode, each before neurons."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from spikingjelly.activation_based import layer, neuron
from torch import Tensor, nn

from tests.conformance.cases import HIDDEN, INPUTS, OUTPUTS, Case, Weights, draw_weights, signals
from tests.conformance.spikingjelly_transcribed import normalised, synaptic

LEAN = 0.3  # the mean of the biases of batch norms


class Stages(nn.Module):
    """Groups of layers, each with neurons at its end; the spikes of every group are outputs."""

    def __init__(self, *stages: nn.Module) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """One tick."""
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return tuple(outputs)


def _case(
    cell: str, variant: str, make: Callable[[float], nn.Module], gain: float, tie: float = 1.0, **options: Any
) -> Case:
    def build(weights: Weights) -> nn.Module:
        model = draw_weights(make(8.0 if weights is Weights.GRID else 5.7), weights, gain=gain, tie=tie)
        draw_norms(model, weights)
        return model

    return Case("SpikingJelly", cell, variant, build, **options)


def draw_norms(model: nn.Module, weights: Weights, lean: float = LEAN) -> None:
    """Give batch norms statistics, on the grid such that they multiply by powers of two; biases lean to spikes."""
    rng = np.random.default_rng(11)
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
            width = module.num_features
            if weights is Weights.GRID:
                deviations, factors = 2.0 ** rng.integers(-1, 2, width), 2.0 ** rng.integers(-1, 2, width)
                mean, bias = (np.rint(rng.normal(middle, 0.3, width) * 8) / 8 for middle in (0.0, lean))
                factors[:4], mean[:4], bias[:4] = deviations[:4], 0.0, 0.0
            else:
                deviations, factors = rng.uniform(0.5, 2.0, width), rng.uniform(0.5, 2.0, width)
                mean, bias = (rng.normal(middle, 0.3, width) for middle in (0.0, lean))
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.copy_(torch.from_numpy(mean))
            module.running_var.copy_(torch.from_numpy(deviations**2 - module.eps))
            module.weight.data.copy_(torch.from_numpy(factors))
            module.bias.data.copy_(torch.from_numpy(bias))


def _lif(tau: float, **options: Any) -> nn.Module:
    return neuron.LIFNode(tau=tau, decay_input=False, **options)


def _sequences(tau: float) -> nn.Module:
    """Convolutions of 3 × 16 values."""
    return Stages(
        nn.Sequential(layer.Conv1d(3, 8, 3, padding=1), layer.BatchNorm1d(8), _lif(tau)),
        nn.Sequential(layer.MaxPool1d(2), layer.Conv1d(8, 12, 3, bias=False), layer.AvgPool1d(2), _lif(tau)),
        nn.Sequential(layer.Flatten(), layer.Dropout(0.3), layer.Linear(36, OUTPUTS), neuron.IFNode()),
    )


def _images(tau: float) -> nn.Module:
    """Convolutions of two 8 × 8 images."""
    return Stages(
        nn.Sequential(layer.Conv2d(2, 8, 3, padding=1, bias=False), layer.BatchNorm2d(8), _lif(tau, v_reset=None)),
        nn.Sequential(layer.MaxPool2d(2), layer.Conv2d(8, 12, 3, padding=1), layer.AvgPool2d(2), neuron.IFNode()),
        nn.Sequential(layer.Flatten(), layer.Dropout(0.3), layer.Linear(48, OUTPUTS), _lif(tau)),
    )


def _normalised(tau: float) -> nn.Module:
    """Batch norms that no weights before them can take up."""
    return Stages(
        nn.Sequential(layer.BatchNorm1d(INPUTS), layer.Linear(INPUTS, HIDDEN), _lif(tau)),
        nn.Sequential(layer.BatchNorm1d(HIDDEN), layer.Linear(HIDDEN, OUTPUTS), _lif(tau)),
    )


def _filtered(tau: float) -> nn.Module:
    """Currents of synapses into neurons one by one: summed, they would not stay on the grid."""
    return Stages(
        nn.Sequential(layer.Linear(INPUTS, HIDDEN), neuron.IFNode()),
        nn.Sequential(layer.SynapseFilter(tau=tau), neuron.LIFNode(tau=tau, v_reset=None)),
    )


def _learnable(tau: float) -> nn.Module:
    """Currents of synapses into weights."""
    return Stages(
        nn.Sequential(layer.Linear(INPUTS, HIDDEN), _lif(tau)),
        nn.Sequential(layer.SynapseFilter(tau=tau, learnable=True), layer.Linear(HIDDEN, OUTPUTS), _lif(tau)),
    )


def _fed_back(tau: float) -> nn.Module:
    """Neurons that hear themselves."""
    return Stages(
        nn.Sequential(layer.Linear(INPUTS, HIDDEN), layer.ElementWiseRecurrentContainer(_lif(tau), operator.sub)),
        nn.Sequential(
            layer.Linear(HIDDEN, OUTPUTS),
            layer.ElementWiseRecurrentContainer(neuron.IFNode(), lambda y, x: 0.25 * y + x),
        ),
    )


def _recurrent(tau: float) -> nn.Module:
    """Neurons that hear each other through weights."""
    return Stages(
        layer.LinearRecurrentContainer(_lif(tau), INPUTS, INPUTS),
        nn.Sequential(layer.Linear(INPUTS, OUTPUTS), _lif(tau, v_reset=None)),
    )


def _sliding(_: float) -> nn.Module:
    """Sliding parallel neurons, which hear their last three currents; zeros stand for those before the first tick."""
    model = Stages(
        nn.Sequential(layer.Linear(INPUTS, HIDDEN), neuron.SlidingPSN(k=3)),
        nn.Sequential(layer.Linear(HIDDEN, OUTPUTS), neuron.SlidingPSN(k=3)),
    )
    for (_, cell), width in zip(model.stages, (HIDDEN, OUTPUTS), strict=True):
        cell.queue[:] = [torch.zeros(width)] * 3
    return model


def _upsampled(tau: float) -> nn.Module:
    """An image made small and large again, as in an autoencoder."""
    return Stages(
        nn.Sequential(layer.Conv2d(2, 8, 3, stride=2, padding=1), _lif(tau)),
        nn.Sequential(layer.ConvTranspose2d(8, 6, 4, stride=2, padding=1), _lif(tau, v_reset=None)),
        nn.Sequential(layer.Upsample(scale_factor=2), layer.Conv2d(6, 4, 3, padding=1, groups=2), neuron.IFNode()),
    )


def _volumes(tau: float) -> nn.Module:
    """Convolutions over three axes."""
    return Stages(
        nn.Sequential(layer.Conv3d(1, 4, 3, padding=1, bias=False), layer.BatchNorm3d(4), _lif(tau)),
        nn.Sequential(layer.MaxPool3d(2), layer.Flatten(), layer.Linear(32, OUTPUTS), neuron.IFNode()),
        nn.Sequential(layer.Linear(OUTPUTS, 20), neuron.IFNode(), layer.VotingLayer(10)),
    )


CASES = [
    _case("Conv1d, BatchNorm1d, pooling", "", _sequences, 1.5, draw=partial(signals, shape=(1, 3, 16))),
    _case("Conv2d, BatchNorm2d, pooling", "", _images, 1.5, draw=partial(signals, shape=(1, 2, 8, 8))),
    _case("BatchNorm1d", "before weights", _normalised, 0.7, exact=False, transcription=normalised),
    _case("SynapseFilter", "before neurons", _filtered, 0.7),
    _case("SynapseFilter", "learnable, before weights", _learnable, 0.7, exact=False, transcription=synaptic),
    _case("ElementWiseRecurrentContainer", "", _fed_back, 0.8),
    _case("LinearRecurrentContainer", "", _recurrent, 1.2),
    _case("SlidingPSN", "", _sliding, 1.5),
    _case("ConvTranspose2d, Upsample", "", _upsampled, 1.5, draw=partial(signals, shape=(1, 2, 8, 8))),
    _case("Conv3d, BatchNorm3d, VotingLayer", "", _volumes, 1.5, draw=partial(signals, shape=(1, 1, 4, 4, 4))),
]
