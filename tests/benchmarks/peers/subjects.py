"""Small networks for peers to step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import astroedge
from astroedge.models import GRUNetwork
from astroedge.step.graph import StepGraph
from benchmarks.peers.work import Array

TICKS = 40


@dataclass(frozen=True)
class SmallSubject:
    """A step module with its graph and its inputs, `x (TICKS, 1, …)`."""

    name: str
    graph: StepGraph
    step: nn.Module
    state: list[Tensor]
    examples: dict[str, Array]
    inputs: dict[str, Array]


class ConvolutionalMemory(nn.Module):
    """A convolution, a pool and a linear layer, with a leaky sum of the maps as state."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.linear = nn.Conv2d(2, 8, 3), nn.Linear(8 * 3 * 3, 5)

    def forward(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """One tick: `x (1, 2, 8, 8)`, `v (1, 8, 6, 6)`."""
        v = 0.75 * v + self.convolution(x)
        return self.linear(F.max_pool2d(v.relu(), 2).flatten(1)), v


@cache
def recurrent() -> SmallSubject:
    """A GRU of 16 units with an initial state that is not zero."""
    torch.manual_seed(0)
    step = GRUNetwork((8, 16, 5)).eval().requires_grad_(False)
    return _subject("small-gru", step, [torch.full((1, 16), 0.5)], (8,))


@cache
def convolutional() -> SmallSubject:
    """A convolutional network without spikes, whose output says by how much a quantisation is off."""
    torch.manual_seed(0)
    step = ConvolutionalMemory().eval().requires_grad_(False)
    return _subject("small-convolution", step, [torch.zeros(1, 8, 6, 6)], (2, 8, 8))


def _subject(name: str, step: nn.Module, state: list[Tensor], shape: tuple[int, ...]) -> SmallSubject:
    generator = np.random.default_rng(1)
    examples, inputs = ({"x": generator.standard_normal((TICKS, 1, *shape), np.float32)} for _ in range(2))
    graph = astroedge.export(step, (torch.from_numpy(examples["x"][0]),), tuple(state), name=name)
    return SmallSubject(name, graph, step, state, examples, inputs)
