"""Published networks as steps: built with random weights that fire at a chosen rate, exported, with their inputs.

SpikingJelly's own models where it has them; `firenet.py` and `speech.py` hold the others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

import astroedge
from astroedge.step.graph import StepGraph
from benchmarks.networks.firenet import FireNet
from benchmarks.networks.speech import BINS, DTLN, FRAME, GTCRNLike
from benchmarks.networks.thresholds import set_thresholds

SEED, STREAMS, EXAMPLES, CHECKED = 0, 4, 12, 3
IMAGES, EVENTS = 0.15, 0.10
"""Firing rates: the papers report some 5 to 30 % for layers that read images, less for those that read events."""
SPIKES = 0.05  # of the inputs of the dense layers
SHARE = 0.10  # of the pixels of a frame that had an event

Draw = Callable[[torch.Generator, int], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Published:
    """A network: its module, what is drawn for a tick of so many streams, and the rate it is made to fire at.

    `state` gives what `forward` takes behind the inputs; without it the modules keep it.
    """

    build: Callable[[], nn.Module]
    draw: Draw
    rate: float | None = None
    state: Callable[[Any, int], Sequence[Tensor]] | None = None


def make(network: Published, check_ticks: int = CHECKED) -> tuple[StepGraph, int, list[tuple[Tensor, ...]]]:
    """The step graph, compared with PyTorch for so many ticks, the number of weights, and the inputs of some ticks."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    model = network.build().eval().requires_grad_(False)
    if network.rate is not None:
        set_thresholds(model, _tick(network, model, generator), network.rate)
    _reset(model)
    ticks = [network.draw(generator, 1) for _ in range(EXAMPLES)]
    state = None if network.state is None else tuple(network.state(model, 1))
    graph = astroedge.export(model, ticks[0], state, examples=ticks, check_ticks=check_ticks)
    return graph, sum(parameter.numel() for parameter in model.parameters()), ticks


def _tick(network: Published, model: nn.Module, generator: torch.Generator) -> Callable[[], object]:
    """What runs a few streams of the network side by side for a tick."""
    state = [] if network.state is None else list(network.state(model, STREAMS))

    def tick() -> None:
        results = model(*network.draw(generator, STREAMS), *state)
        state[:] = results[len(results) - len(state) :] if state else []

    return tick


def _reset(model: nn.Module) -> None:
    """Neurons as they are before the first tick."""
    neurons: Any
    for neurons in model.modules():
        if hasattr(neurons, "v_threshold"):
            neurons.reset()


def images(size: int) -> Draw:
    """Normalised images, at every tick another one."""
    return lambda generator, streams: (torch.randn(streams, 3, size, size, generator=generator),)


def events(size: int) -> Draw:
    """Counts of events: `SHARE` of the pixels of both polarities had some, most of them one."""

    def draw(generator: torch.Generator, streams: int) -> tuple[Tensor, ...]:
        shape = (streams, 2, size, size)
        counts = 1 + torch.poisson(torch.full(shape, 0.5), generator)
        return (counts * (torch.rand(shape, generator=generator) < SHARE),)

    return draw


def _features(*shapes: tuple[int, ...]) -> Draw:
    """Spectra and frames from a normal distribution."""
    return lambda generator, streams: tuple(torch.randn(streams, *shape, generator=generator) for shape in shapes)


def _neurons() -> dict[str, Any]:
    from spikingjelly.activation_based import neuron

    return {"spiking_neuron": neuron.LIFNode, "tau": 2.0}


def _zoo(name: str) -> Any:
    """A module of SpikingJelly's models.

    Some fetch trained weights by a function of torchvision, which isn't installed because it would bring another
    PyTorch; one that fetches nothing stands in for it while they are imported.
    """
    path = f"spikingjelly.activation_based.model.{name}"
    if find_spec("torchvision"):
        return import_module(path)
    stands_in = {part: ModuleType(part) for part in ("torchvision", "torchvision.models", "torchvision.models.utils")}
    stands_in["torchvision.models.utils"].load_state_dict_from_url = None  # type: ignore[attr-defined]
    sys.modules.update(stands_in)
    try:
        return import_module(path)
    finally:
        for part in stands_in:
            del sys.modules[part]


def sew_resnet(classes: int) -> nn.Module:
    """SEW-ResNet18 (Fang et al. 2021): spikes are added, so that layers read counts."""
    model: nn.Module = _zoo("sew_resnet").sew_resnet18(cnf="ADD", num_classes=classes, **_neurons())
    return model


def spiking_resnet() -> nn.Module:
    """SpikingResNet18: a ResNet18 with neurons for activations."""
    model: nn.Module = _zoo("spiking_resnet").spiking_resnet18(num_classes=10, **_neurons())
    return model


def ms_resnet() -> nn.Module:
    """MS-ResNet18 (Hu et al. 2021) for small images: residual branches of membranes, spikes before convolutions."""
    model: nn.Module = _zoo("ms_resnet").MSResNet(
        T=1, layers=(2, 2, 2, 2), num_classes=10, base_channels=64, stem_kernel_size=3, stem_stride=1, stem_pool=False
    )
    return model


def vgg11() -> nn.Module:
    """VGG11 with batch norms; small images reach its classifier as one pixel."""
    from spikingjelly.activation_based import layer

    model: Any = _zoo("spiking_vgg").spiking_vgg11_bn(num_classes=10, **_neurons())
    model.avgpool = layer.AdaptiveAvgPool2d((1, 1))
    model.classifier[0] = layer.Linear(512, 4096)
    found: nn.Module = model
    return found


def spikformer() -> nn.Module:
    """Spikformer-4-384 (Zhou et al. 2022), one tick of it."""
    sizes = {"img_size_h": 32, "img_size_w": 32, "patch_size": 4, "embed_dims": 384, "num_heads": 12, "depths": 4}
    model: nn.Module = _zoo("spikformer").Spikformer(T=1, num_classes=10, **sizes)
    return model


def dvs_gesture() -> nn.Module:
    """DVSGestureNet (Fang et al. 2021) of parametric LIF neurons."""
    from spikingjelly.activation_based import neuron

    model: nn.Module = _zoo("parametric_lif_net").DVSGestureNet(
        channels=128, spiking_neuron=neuron.ParametricLIFNode, init_tau=2.0
    )
    return model


class IntegrateAndFire(nn.Module):
    """SpikingJelly's IFNode with a soft reset, written by hand: v ← v + x, z ← v ≥ 1, v ← v − z."""

    def __init__(self) -> None:
        super().__init__()
        self.v: Tensor | float = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """One tick: currents to spikes."""
        self.v = self.v + x
        spikes = (self.v >= 1.0).float()
        self.v = self.v - spikes
        return spikes


def dense_layers(by_hand: bool) -> nn.Module:
    """Two dense layers of neurons and a readout, with SpikingJelly's neurons or `IntegrateAndFire`."""
    from spikingjelly.activation_based import neuron

    def neurons() -> nn.Module:
        return IntegrateAndFire() if by_hand else neuron.IFNode(v_reset=None)

    layers = [nn.Linear(256, 2048), nn.Linear(2048, 2048), nn.Linear(2048, 10)]
    for layer in layers[:2]:
        layer.weight.data *= 4.0
    return nn.Sequential(layers[0], neurons(), layers[1], neurons(), layers[2])


def spikes(width: int) -> Draw:
    """Spikes of `SPIKES` of the inputs."""
    return lambda generator, streams: ((torch.rand(streams, width, generator=generator) < SPIKES).float(),)


PUBLISHED: dict[str, Published] = {
    "SEW-ResNet18 at 32²": Published(lambda: sew_resnet(10), images(32), IMAGES),
    "SEW-ResNet18 at 224²": Published(lambda: sew_resnet(1000), images(224), IMAGES),
    "SpikingResNet18 at 32²": Published(spiking_resnet, images(32), IMAGES),
    "MS-ResNet18 at 32²": Published(ms_resnet, images(32), IMAGES),
    "VGG11 at 32²": Published(vgg11, images(32), IMAGES),
    "Spikformer-4-384 at 32²": Published(spikformer, images(32), IMAGES),
    "DVSGestureNet at 128²": Published(dvs_gesture, events(128), EVENTS),
    "FireNet at 128²": Published(
        FireNet, events(128), EVENTS, lambda model, streams: model.initial_state(128, 128, streams)
    ),
    "dense layers of SpikingJelly": Published(lambda: dense_layers(by_hand=False), spikes(256)),
    "the same layers by hand": Published(lambda: dense_layers(by_hand=True), spikes(256)),
    "DTLN": Published(DTLN, _features((BINS,), (FRAME,)), state=lambda model, streams: model.initial_state()),
    "GTCRN's parts": Published(GTCRNLike, _features((9, 1, 129)), state=lambda model, streams: model.initial_state()),
}
