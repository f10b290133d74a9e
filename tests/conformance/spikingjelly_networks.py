"""Published networks of SpikingJelly's model zoo and of papers written with it, small, called with one tick.

The zoo's own classes where they need nothing but SpikingJelly; residual blocks of the others from their papers'
equations. Batch norms have statistics, so every layer fires; on the grid they multiply by powers of two.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from spikingjelly.activation_based import layer, neuron
from spikingjelly.activation_based.model.parametric_lif_net import MNISTNet
from spikingjelly.activation_based.model.spike_driven_transformer import SpikeDrivenTransformer
from spikingjelly.activation_based.model.spikformer import Spikformer
from torch import Tensor, nn

from tests.conformance.cases import OUTPUTS, Case, Weights, draw_weights, signals
from tests.conformance.spikingjelly_layers import Stages, draw_norms

IMAGE = (1, 2, 8, 8)


def _case(
    cell: str, make: Callable[[], nn.Module], shape: tuple[int, ...], gain: float, lean: float, **options: Any
) -> Case:
    def build(weights: Weights) -> nn.Module:
        model = draw_weights(make(), weights, gain=gain)
        draw_norms(model, weights, lean)
        return model

    return Case("SpikingJelly", cell, "", build, draw=partial(signals, shape=shape), network=True, **options)


def _normed(before: int, after: int, size: int = 3, stride: int = 1) -> nn.Module:
    return nn.Sequential(layer.Conv2d(before, after, size, stride, size // 2, bias=False), layer.BatchNorm2d(after))


class SpikeElementWise(nn.Module):
    """Two convolutions with neurons; the input spikes are added to theirs (SEW-ResNet, 2102.04159)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Sequential(_normed(channels, channels), neuron.IFNode())
        self.second = nn.Sequential(_normed(channels, channels), neuron.IFNode())

    def forward(self, x: Tensor) -> Tensor:
        """One tick."""
        second: Tensor = self.second(self.first(x))
        return second + x


class SpikingResidual(nn.Module):
    """The same, with the currents added before the second neurons fire, downsampled (Spiking ResNet, 2102.04159)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Sequential(_normed(before, after, stride=2), neuron.IFNode())
        self.second, self.beside = _normed(after, after), _normed(before, after, 1, 2)
        self.fire = neuron.IFNode()

    def forward(self, x: Tensor) -> Tensor:
        """One tick."""
        spikes: Tensor = self.fire(self.second(self.first(x)) + self.beside(x))
        return spikes


def _residual(block: nn.Module, channels: int) -> nn.Module:
    head = nn.Sequential(layer.AdaptiveAvgPool2d((1, 1)), layer.Flatten(), layer.Linear(channels, OUTPUTS))
    return Stages(nn.Sequential(_normed(2, 8), neuron.IFNode()), block, nn.Sequential(head, neuron.IFNode()))


class MembraneShortcut(nn.Module):
    """Neurons before each of two convolutions, whose result joins the input (MS-ResNet, 2112.08954)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Sequential(neuron.IFNode(), _normed(channels, channels))
        self.second = nn.Sequential(neuron.IFNode(), _normed(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """One tick."""
        second: Tensor = self.second(self.first(x))
        return second + x


def _of_membranes() -> nn.Module:
    head = nn.Sequential(neuron.IFNode(), layer.AdaptiveAvgPool2d((1, 1)), layer.Flatten(), layer.Linear(8, OUTPUTS))
    return Stages(nn.Sequential(_normed(2, 8), MembraneShortcut(8)), MembraneShortcut(8), head)


def _vgg() -> nn.Module:
    stages = [nn.Sequential(layer.Conv2d(2, 8, 3, padding=1), layer.BatchNorm2d(8), neuron.LIFNode(decay_input=False))]
    for before, after in ((8, 12), (12, 16)):
        stages.append(nn.Sequential(layer.MaxPool2d(2), _normed(before, after), neuron.LIFNode(decay_input=False)))
    return Stages(*stages, nn.Sequential(layer.Flatten(), layer.Linear(64, OUTPUTS), neuron.IFNode()))


def _of_zoo(network: Callable[..., nn.Module], **options: Any) -> Callable[[], nn.Module]:
    """A network of the zoo that repeats its input over one tick."""
    return lambda: network(T=1, in_channels=2, num_classes=OUTPUTS, **options)


CASES = [
    _case("SEW-ResNet block", lambda: _residual(SpikeElementWise(8), 8), IMAGE, 1.5, 0.2),
    _case("Spiking ResNet block", lambda: _residual(SpikingResidual(8, 12), 12), IMAGE, 1.5, 0.2),
    _case("Spiking VGG", _vgg, IMAGE, 1.5, 0.2),
    _case("MS-ResNet block", _of_membranes, IMAGE, 1.5, 0.0, ties=False),
    _case(
        "Spikformer",
        _of_zoo(Spikformer, img_size_h=16, img_size_w=16, patch_size=4, embed_dims=64, num_heads=4, depths=1),
        (1, 2, 16, 16),
        3.5,
        0.4,
        ties=False,
    ),
    _case(
        "Spike-driven Transformer",
        _of_zoo(SpikeDrivenTransformer, embed_dims=64, num_heads=4, depths=1),
        (1, 2, 32, 32),
        4.5,
        -0.1,
        ties=False,
    ),
    _case(
        "Parametric LIF network",
        lambda: MNISTNet(channels=8, spiking_neuron=neuron.ParametricLIFNode),
        (1, 1, 28, 28),
        5.0,
        0.4,
        ties=False,
    ),
]
