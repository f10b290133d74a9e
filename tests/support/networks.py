"""Networks with real weights that fire: what every claim of equal bits is tested on.

Their matrices have more than 256 inputs, the block of the reduction order, and widths that are no multiple of a vector.
Weights are drawn, not on a grid, so that every sum is rounded and depends on its order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.models import AstroSNN, AstroSNNConfig, load_checkpoint
from astroedge.models.astrosnn import AstroSNNStep
from astroedge.step.graph import StepGraph
from tests.support.builds import build
from tests.support.places import ROOT

CHECKPOINT = ROOT / "examples" / "char_lm" / "astrosnn.safetensors"
EXAMPLES = 100
LOWEST_RATE, HIGHEST_RATE = 0.01, 0.6
Array = NDArray[Any]


@dataclass(frozen=True)
class Network:
    """A step model: `build` makes it, the same at every call; `draw(rng, ticks, batch)` makes its inputs."""

    build: Callable[[], nn.Module]
    draw: Callable[[np.random.Generator, int, int], dict[str, Array]]


class AdaptiveThreshold(nn.Module):
    """Recurrent neurons whose threshold grows when they fire: 300 inputs, 317 neurons, 11 outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.input, self.recurrent, self.readout = (
            nn.Linear(300, 317),
            nn.Linear(317, 317, bias=False),
            nn.Linear(317, 11),
        )

    def initial_state(self, batch: int) -> list[Tensor]:
        """Membranes, adaptations and the last spikes."""
        return [torch.zeros(batch, 317) for _ in "vas"]

    def forward(self, x: Tensor, v: Tensor, a: Tensor, s: Tensor) -> tuple[Tensor, ...]:
        """One tick."""
        v = 0.9 * v + 4.0 * self.input(x) + 2.0 * self.recurrent(s)
        s = (v >= 1.0 + 1.8 * a).float()
        return self.readout(s), v * (1 - s), 0.96 * a + 0.3 * s, s


class GRU(nn.Module):
    """A GRU cell on 300 features, 37 units, and scores."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.GRUCell(300, 37), nn.Linear(37, 12)

    def initial_state(self, batch: int) -> list[Tensor]:
        """The hidden state."""
        return [torch.zeros(batch, 37)]

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        """One tick."""
        h = self.cell(x, h)
        return self.head(h), h


class LSTM(nn.Module):
    """An LSTM cell on 261 features, 35 units, a layer norm and scores by softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.norm, self.head = nn.LSTMCell(261, 35), nn.LayerNorm(35), nn.Linear(35, 21)

    def initial_state(self, batch: int) -> list[Tensor]:
        """Hidden and cell state."""
        return [torch.zeros(batch, 35) for _ in "hc"]

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        """One tick."""
        h, c = self.cell(x, (h, c))
        return F.softmax(self.head(self.norm(h)), dim=-1), h, c


class Convolutional(nn.Module):
    """Spikes of 2 × 10 × 10 pixels: convolutions with padding, stride and groups, pooled between."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 31, 3, padding=1)
        self.second = nn.Conv2d(31, 12, 3, padding=1)
        self.third = nn.Conv2d(12, 20, 3, stride=2, groups=4)
        self.head = nn.Linear(20 * 2 * 2, 10)

    def initial_state(self, batch: int) -> list[Tensor]:
        """The membranes of the three maps."""
        return [torch.zeros(batch, *shape) for shape in ((31, 10, 10), (12, 5, 5), (20, 2, 2))]

    def forward(self, x: Tensor, u: Tensor, v: Tensor, w: Tensor) -> tuple[Tensor, ...]:
        """One tick."""
        s, u = _fire(0.85 * u + 2.0 * self.first(x))
        s, v = _fire(0.85 * v + 6.0 * self.second(F.max_pool2d(s, 2)))
        s, w = _fire(0.85 * w + 8.0 * self.third(s))
        return self.head(s.flatten(1)), u, v, w


class Reductions(nn.Module):
    """Sums, means, norms and pools over every kind of axis of features of 5 × 12 × 12; nothing in it is a matrix."""

    def initial_state(self, batch: int) -> list[Tensor]:
        """A running average of all of them."""
        return [torch.zeros(batch, 5, 12, 12), torch.zeros(batch, 411)]

    def forward(self, x: Tensor, memory: Tensor, average: Tensor) -> tuple[Tensor, ...]:
        """One tick."""
        memory = 0.7 * memory + x
        parts = [
            memory.sum(dim=1),
            memory.mean(dim=(2, 3)),
            memory.sum(dim=(1, 3)),
            F.avg_pool2d(memory, 3, stride=2, padding=1),
            memory.square().sum(dim=2).sqrt(),
            torch.logsumexp(memory.flatten(2), dim=2),
            torch.softmax(memory.flatten(2), dim=2).amax(dim=2),
        ]
        average = 0.9 * average + torch.cat([part.flatten(1) for part in parts], dim=1)
        return average, memory, average


def _fire(membrane: Tensor) -> tuple[Tensor, Tensor]:
    spikes = (membrane >= 1.0).float()
    return spikes, membrane - spikes


def _astrosnn() -> nn.Module:
    return AstroSNNStep(AstroSNN(AstroSNNConfig(vocabulary=64, width=72, heads=3, feed_forward=300, layers=2)))


def _spikes(*shape: int) -> Callable[[np.random.Generator, int, int], dict[str, Array]]:
    return lambda rng, ticks, batch: {"x": (rng.random((ticks, batch, *shape)) < 0.15).astype(np.float32)}


def _features(*shape: int) -> Callable[[np.random.Generator, int, int], dict[str, Array]]:
    return lambda rng, ticks, batch: {"x": rng.standard_normal((ticks, batch, *shape)).astype(np.float32)}


def _tokens(vocabulary: int) -> Callable[[np.random.Generator, int, int], dict[str, Array]]:
    return lambda rng, ticks, batch: {"token": rng.integers(0, vocabulary, (ticks, batch))}


NETWORKS = {
    "demo": Network(lambda: AstroSNNStep(load_checkpoint(CHECKPOINT)), _tokens(256)),
    "astrosnn": Network(_astrosnn, _tokens(64)),
    "adaptive-threshold": Network(AdaptiveThreshold, _spikes(300)),
    "gru": Network(GRU, _features(300)),
    "lstm": Network(LSTM, _features(261)),
    "convolutional": Network(Convolutional, _spikes(2, 10, 10)),
    "reductions": Network(Reductions, _features(5, 12, 12)),
}


@cache
def bundle_of(
    name: str, target: str = "native", kernels: str = "auto", batch: int = 1, precision: str = "float32"
) -> Bundle:
    """A network compiled and linked, once for all tests."""
    return build(graph_of(name, batch), target, kernels=kernels, precision=precision)


@cache
def graph_of(name: str, batch: int = 1) -> StepGraph:
    """The step graph of a network for `batch` streams, exported once; its weights do not depend on `batch`."""
    torch.manual_seed(3)
    network = NETWORKS[name]
    model: Any = network.build().eval()
    ticks = network.draw(np.random.default_rng(1), EXAMPLES, batch)
    examples = [tuple(torch.from_numpy(array[tick]) for array in ticks.values()) for tick in range(EXAMPLES)]
    return astroedge.export(model, examples[0], model.initial_state(batch), name=name, examples=examples)


def inputs_of(name: str, ticks: int, batch: int = 1, seed: int = 2) -> dict[str, Array]:
    """Inputs of `ticks` ticks, other ones than the graph's firing rates were measured on."""
    return NETWORKS[name].draw(np.random.default_rng(seed), ticks, batch)
