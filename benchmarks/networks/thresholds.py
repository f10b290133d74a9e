"""Give every layer of a published spiking network a firing rate, with random weights.

Batch norms take the statistics of what they see, as training would leave them. A threshold becomes what the chosen
share of the membranes exceeds; layers are set in the order they compute in, each on what those before it fire by then.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.networks.firenet import ConvLIF

TICKS = 8
LEAST_THRESHOLD = 1e-3
DRAWN = 200_000  # membranes that a threshold is found on


@torch.no_grad()
def set_thresholds(model: nn.Module, tick: Callable[[], object], rate: float) -> None:
    """Run `tick` a few times and turn the thresholds of `model` so that its layers fire at about `rate`."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d)]
    for norm in norms:
        norm.train()
        norm.momentum = None  # statistics of all ticks alike
        norm.reset_running_stats()
        if not norm.weight.any():
            norm.weight.fill_(1.0)  # a residual branch that training has not begun with yet
    seen: dict[nn.Module, int] = {}
    listeners: list[Any] = []
    for module in model.modules():
        if isinstance(module, ConvLIF):
            listeners.append(module.register_forward_pre_hook(_set_channels(rate, seen)))
        elif hasattr(module, "v_threshold"):
            listeners.append(module.register_forward_pre_hook(_set_neurons(rate, seen)))
    for _ in range(TICKS):
        tick()
    for listener in listeners:
        listener.remove()
    for norm in norms:
        norm.eval()


def _set_neurons(rate: float, seen: dict[nn.Module, int]) -> Callable[[Any, tuple[Tensor, ...]], None]:
    """For SpikingJelly's neurons, which first compute without a threshold to show their membranes."""

    def settle(node: Any, inputs: tuple[Tensor, ...]) -> None:
        before, threshold, node.v_threshold = node.v, node.v_threshold, math.inf
        node.forward(*inputs)
        found, node.v = max(_exceeded(node.v, rate), LEAST_THRESHOLD), before
        seen[node] = seen.get(node, 0) + 1
        node.v_threshold = threshold + (found - threshold) / seen[node]

    return settle


def _set_channels(rate: float, seen: dict[nn.Module, int]) -> Callable[[Any, tuple[Tensor, ...]], None]:
    """For FireNet's layers, whose thresholds are parameters."""

    def settle(layer: ConvLIF, inputs: tuple[Tensor, ...]) -> None:
        found = max(_exceeded(layer.membrane(*inputs), rate), LEAST_THRESHOLD)
        seen[layer] = seen.get(layer, 0) + 1
        layer.threshold.add_((found - layer.threshold) / seen[layer])

    return settle


def _exceeded(membranes: Tensor, rate: float) -> float:
    """What a share `rate` of the membranes exceeds."""
    flat = membranes.flatten()
    return float(torch.quantile(flat[:: max(1, flat.numel() // DRAWN)][: 2 * DRAWN].float(), 1 - rate))
