"""SpikingJelly's neurons and layers whose results round, one tick in NumPy from their equations.

Constants are taken as PyTorch computes them; everything else is float32, one rounding an operation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from tests.conformance.cases import Array, Tick
from tests.support.kernels.reference_math import exp
from tests.support.kernels.reference_order import product

F = np.float32


def exponential(model: nn.Module) -> Tick:
    """Weights and EIFNode twice: h = v + (x + rest − v + ΔT exp((v − θ) / ΔT)) / τ; spikes, then potentials."""
    cells: Any = model.cells
    potentials = [F(cell.v) for cell in cells]

    def tick(x: Array) -> tuple[Array, ...]:
        spikes = []
        for index, (linear, cell) in enumerate(zip(_modules(model.linear), cells, strict=True)):
            v, sharpness = potentials[index], F(cell.delta_T)
            rise = sharpness * exp((v - F(cell.theta_rh)) / sharpness)
            h = v + (_linear(linear, x) + F(cell.v_rest) - v + rise) / F(cell.tau)
            x, potentials[index] = _fire(cell, h)
            spikes.append(x)
        return (*spikes, *potentials)

    return tick


def normalised(model: nn.Module) -> Tick:
    """Stages of a batch norm, (x − mean) / √(variance + ε) · factor + bias, weights and LIFNode.

    Returns spikes, then potentials.
    """
    stages = _modules(model.stages)
    potentials = [F(lif.v) for _, _, lif in stages]

    def tick(x: Array) -> tuple[Array, ...]:
        spikes = []
        for index, (norm, linear, lif) in enumerate(stages):
            deviation = np.sqrt(_array(norm.running_var) + F(norm.eps))
            x = (x - _array(norm.running_mean)) / deviation * _array(norm.weight) + _array(norm.bias)
            x, potentials[index] = _leak(lif, potentials[index], _linear(linear, x))
            spikes.append(x)
        return (*spikes, *potentials)

    return tick


def synaptic(model: nn.Module) -> Tick:
    """Weights and LIFNode twice, between them SynapseFilter: i ← i − (1 − x) i σ(w) + x; spikes, then states."""
    (first, lif1), (synapse, second, lif2) = _modules(model.stages)
    v1, v2, current = F(lif1.v), F(lif2.v), F(synapse.out_i)
    share = _array(synapse.w.sigmoid())

    def tick(x: Array) -> tuple[Array, ...]:
        nonlocal v1, v2, current
        spikes, v1 = _leak(lif1, v1, _linear(first, x))
        current = current - (F(1) - spikes) * current * share + spikes
        last, v2 = _leak(lif2, v2, _linear(second, current))
        return spikes, last, v1, current, v2

    return tick


def _leak(lif: Any, v: Array, current: Array) -> tuple[Array, Array]:
    """Spikes and next potential of a LIFNode that takes its input as it is."""
    return _fire(lif, v - (v - F(lif.v_reset)) / F(lif.tau) + current)


def _fire(cell: Any, h: Array) -> tuple[Array, Array]:
    """Spikes where the potential reaches the threshold, and the potential after them."""
    spikes = (h - F(cell.v_threshold) >= 0).astype(F)
    if cell.v_reset is None:
        return spikes, h - spikes * F(cell.v_threshold)
    return spikes, spikes * F(cell.v_reset) + (F(1) - spikes) * h


def _linear(linear: Any, x: Array) -> Array:
    return product(x[0], _array(linear.weight).T, _array(linear.bias))[None]


def _array(tensor: Tensor) -> Array:
    return tensor.detach().numpy()


def _modules(container: Any) -> list[Any]:
    return list(container)
