"""Conformance cases: one cell of one framework in a small network, with inputs that make it fire.

Every case exists with two kinds of weights. On the *grid* they are multiples of 1/64 and decays are 0.875, so that sums
of weighted spikes are exact in whatever order they are added, and some neurons, `TIED` in each layer, hear one input
alone with a weight that takes them exactly to their threshold. *Drawn* weights are rounded at every step, as trained
ones are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[Any]
Tick = Callable[[Array], tuple[Array, ...]]

INPUTS, HIDDEN, OUTPUTS = 24, 40, 16
DECAY = 0.875
TIED = 4
SPIKE_RATE = 0.3
GRID = 64


class Weights(Enum):
    """Which weights a case is built with."""

    GRID = "grid"
    DRAWN = "drawn"


def signals(rng: np.random.Generator, ticks: int, weights: Weights, shape: tuple[int, ...] = (1, INPUTS)) -> Array:
    """Inputs `(ticks, *shape)`: spikes for weights on the grid, otherwise numbers between 0 and 1."""
    uniform = rng.random((ticks, *shape))
    return (uniform < SPIKE_RATE if weights is Weights.GRID else uniform).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Case:
    """A cell in a network that `build` makes, cold and in evaluation mode, the same at every call.

    The network takes one input, which `draw(rng, ticks, weights)` makes, and returns a tensor or a tuple of them. What
    carries over is hidden in it; with `states`, initial values, it is `forward(x, *states) -> (*outputs, *states)`; if
    it `starts_itself`, it is `forward(x, state=None) -> (outputs, state)`. PyTorch's cells return their state alone.

    `exact` says that the cell uses only sums, products, comparisons and selections of numbers. Otherwise, and where no
    framework but AstroEdge says what a cell does, `transcription` writes one tick of the network in NumPy: made from
    the model, called with inputs `(1, …)`, it returns the outputs and, if it likes, all next states after them, and
    keeps its state. `fires` is false for networks without spikes, `ties` for cells that no single weight takes exactly
    to their threshold. Of a `network`, whose ticks are long, a tenth of the ticks is run.
    """

    framework: str
    cell: str
    variant: str
    build: Callable[[Weights], nn.Module]
    draw: Callable[[np.random.Generator, int, Weights], Array] = signals
    states: tuple[Any, ...] | None = None
    starts_itself: bool = False
    exact: bool = True
    transcription: Callable[[nn.Module], Tick] | None = None
    fires: bool = True
    ties: bool = True
    network: bool = False

    @property
    def title(self) -> str:
        """The case in a few words."""
        return " ".join(part for part in (self.framework, self.cell, self.variant) if part)

    def ticks(self, usual: int) -> int:
        """How many ticks of `usual` ones are run."""
        return usual // 10 if self.network else usual

    def inputs(self, ticks: int, weights: Weights, seed: int = 1) -> Array:
        """Inputs of `ticks` ticks, the same for the same seed."""
        return self.draw(np.random.default_rng(seed), ticks, weights)


class Layers(nn.Module):
    """Linear layers, each followed by a cell that hides its state; the spikes of every layer are outputs."""

    def __init__(self, *cells: nn.Module, widths: Sequence[int] = (INPUTS, HIDDEN, OUTPUTS)) -> None:
        super().__init__()
        self.linear = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        self.cells = nn.ModuleList(cells)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """One tick."""
        outputs = []
        for linear, cell in zip(self.linear, self.cells, strict=True):
            x = cell(linear(x))
            outputs.append(x)
        return tuple(outputs)


def draw_weights(model: nn.Module, weights: Weights, *, gain: float = 1.0, tie: float = 1.0) -> nn.Module:
    """Give every linear layer and convolution of `model` weights of a kind, and return it in evaluation mode.

    Weights are normal with deviation `gain` over the root of the fan-in, biases a tenth of that. On the grid the first
    `TIED` rows of each weight hold nothing but `tie`, each at another input; those of a recurrent layer hold nothing.
    """
    rng = np.random.default_rng(7)
    for path, module in model.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)):
            recurrent = "recurrent" in path.split(".")
            shape = tuple(module.weight.shape)
            module.weight.data = drawn(rng, shape, weights, gain, 0.0 if recurrent else tie)
            if module.bias is not None:
                module.bias.data = drawn(rng, tuple(module.bias.shape), weights, 0.1 * gain, 0.0)
    return model.eval()


def drawn(rng: np.random.Generator, shape: tuple[int, ...], weights: Weights, gain: float, tie: float) -> Tensor:
    """A weight `(outputs, …)` as `draw_weights` makes it; of a vector, a bias, the first elements are 0 on the grid."""
    values = rng.normal(0.0, gain / np.sqrt(max(1, int(np.prod(shape[1:])))), shape)
    if weights is Weights.GRID:
        values = np.rint(values * GRID) / GRID
        values[:TIED] = 0.0
        if len(shape) > 1:
            flat = values.reshape(shape[0], -1)
            flat[np.arange(TIED), np.arange(TIED) % flat.shape[1]] = tie
    return torch.from_numpy(values.astype(np.float32))


def cells_of(cases: list[Case]) -> list[tuple[tuple[str, str], list[Case]]]:
    """The cases of each framework and cell, in their order."""
    return [(name, list(group)) for name, group in groupby(cases, lambda case: (case.framework, case.cell))]


def variants_of(cases: list[Case]) -> str:
    """What tells the cases of a cell apart."""
    return "; ".join(case.variant for case in cases if case.variant)
