"""The reference cells of `astroedge.models` as networks to measure: their papers, and what they read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from astroedge.models import ALIFNetwork, AstroSNNStep, load_checkpoint
from benchmarks.networks.published import Draw, Published
from benchmarks.places import CHECKPOINT

EVENTS = 0.10  # of the inputs that are spikes


@dataclass(frozen=True)
class Cell:
    """A reference model with random weights, or those that ship: its title, where it was published, the network."""

    title: str
    paper: str
    network: Published


def cell(title: str, paper: str, build: Callable[[], nn.Module], draw: Draw) -> Cell:
    """A cell whose `forward` takes its inputs and the state of `initial_state`."""
    return Cell(title, paper, Published(build, draw, state=_start))


def _start(model: nn.Module, streams: int) -> Sequence[Tensor]:
    found: Sequence[Tensor] = model.initial_state(streams)  # type: ignore[operator]
    return found


def spikes(*shape: int, rate: float = EVENTS) -> Draw:
    """Inputs that are 1 at `rate`, anywhere."""
    return lambda generator, streams: ((torch.rand(streams, *shape, generator=generator) < rate).float(),)


def numbers(*shape: int) -> Draw:
    """Inputs from a normal distribution."""
    return lambda generator, streams: (torch.randn(streams, *shape, generator=generator),)


def tokens(vocabulary: int) -> Draw:
    """Tokens, all equally likely."""
    return lambda generator, streams: (torch.randint(0, vocabulary, (streams,), generator=generator),)


ZOO: dict[str, Cell] = {
    "astrosnn": cell("AstroSNN", "2312.07625", lambda: AstroSNNStep(load_checkpoint(CHECKPOINT)), tokens(256)),
    "alif": cell("ALIF", "1803.09574", ALIFNetwork, spikes(700)),
}
