"""Thresholds are set so that every layer of a published network fires at the rate asked for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from benchmarks.networks.firenet import FireNet
from benchmarks.networks.published import events
from benchmarks.networks.subjects import one_thread
from benchmarks.networks.thresholds import set_thresholds

SIZE, STREAMS, RATE = 24, 4, 0.12


class Counting(nn.Module):
    """A leaky neuron as SpikingJelly's are: `v`, `v_threshold`, `step_mode`, one tick a call."""

    step_mode = "s"

    def __init__(self) -> None:
        super().__init__()
        self.v: Tensor | float = 0.0
        self.v_threshold = 1.0
        self.fired = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Currents to spikes; a membrane starts anew after one."""
        self.v = 0.5 * self.v + x
        spikes = (self.v >= self.v_threshold).float()
        self.v = self.v * (1 - spikes)
        self.fired = spikes.mean().item()
        return spikes


def test_layers_fire_at_the_rate_and_batch_norms_know_their_inputs() -> None:
    """A norm of weight 0, as residual branches begin with, lets something through; nothing listens afterwards."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(6)
    nn.init.zeros_(norm.weight)
    first, second = Counting(), Counting()
    model = nn.Sequential(nn.Conv2d(2, 6, 3), norm, first, nn.Conv2d(6, 5, 3), nn.BatchNorm2d(5), second)
    model.eval().requires_grad_(False)
    source = torch.Generator().manual_seed(0)

    def tick() -> None:
        model(torch.randn(STREAMS, 2, SIZE, SIZE, generator=source) * 3 + 1)

    set_thresholds(model, tick, RATE)
    tick()
    assert [first.fired, second.fired] == pytest.approx([RATE, RATE], abs=0.03)
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert not any(module.training for module in model.modules())
    assert norm.running_mean is not None
    assert norm.running_mean.abs().max() > 0


def test_firenet_fires_at_the_rate() -> None:
    """Recurrent layers included, whose own spikes drive them."""
    torch.manual_seed(0)
    model = FireNet(width=8).eval().requires_grad_(False)
    source, draw = torch.Generator().manual_seed(0), events(SIZE)
    state = model.initial_state(SIZE, SIZE, STREAMS)

    def tick() -> None:
        state[:] = model(*draw(source, STREAMS), *state)[1:]

    with one_thread():
        set_thresholds(model, tick, RATE)
        rates = []
        for _ in range(4):
            tick()
            rates.append([own[1].mean().item() for own in state])
    assert [sum(column) / 4 for column in zip(*rates, strict=True)] == pytest.approx([RATE] * 7, abs=0.08)
