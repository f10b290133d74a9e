"""Norse's cells with an exponential, one tick in NumPy from their equations: float32, one rounding an operation."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from tests.conformance.cases import Array, Tick
from tests.support.kernels.reference_math import exp
from tests.support.kernels.reference_order import product

F = np.float32


def exponential(model: nn.Module) -> Tick:
    """A sequence of linear layers, LIFEx and LIFAdEx cells, recurrent or not: every layer's output, then all states."""
    layers: list[Any] = list(model.children())
    states = [_start(layer) if hasattr(layer, "p") else {} for layer in layers]

    def tick(x: Array) -> tuple[Array, ...]:
        values, outputs = x[0], []
        for layer, state in zip(layers, states, strict=True):
            values = _cell(layer, values, state) if state else _linear(layer, values)
            outputs.append(values)
        return tuple(value[None] for value in (*outputs, *(value for state in states for value in state.values())))

    return tick


def _start(cell: Any) -> dict[str, Array]:
    """The state of a cell before the first tick, in Norse's order; vectors of any length."""
    names = ["v", "i", "a"] if hasattr(cell.p, "adaptation_current") else ["v", "i"]
    start = {name: F(0) for name in (["z", *names] if hasattr(cell, "recurrent_weights") else names)}
    return {**start, "v": _array(cell.p.v_leak)}


def _cell(cell: Any, x: Array, state: dict[str, Array]) -> Array:
    """Spikes of a cell: v rises by dt / τ (leak − v + ΔT exp((v − threshold) / ΔT) + i − a), LIFEx without the a."""
    p, v = cell.p, state["v"]
    if "z" in state:
        current = state["i"] + _product(x, cell.input_weights)
        current = current + _product(np.broadcast_to(state["z"], int(cell.hidden_size)), cell.recurrent_weights)
    else:
        current = state["i"] + x
    leak, threshold, sharpness = _array(p.v_leak), _array(p.v_th), _array(p.delta_T)
    pull = leak - v + sharpness * exp((v - threshold) / sharpness) + current
    if "a" in state:
        pull = pull - state["a"]
    risen = v + _array(cell.dt * p.tau_mem_inv) * pull
    spikes = (risen - threshold > 0).astype(F)
    if "a" in state:
        change = _array(p.adaptation_current) * (v - leak) - state["a"]
        state["a"] = state["a"] + _array(cell.dt * p.tau_ada_inv) * change + spikes * _array(p.adaptation_spike)
    if "z" in state:
        state["z"] = spikes
    state["v"] = (F(1) - spikes) * risen + spikes * _array(p.v_reset)
    state["i"] = current + _array(-cell.dt * p.tau_syn_inv) * current
    return spikes


def _linear(linear: Any, x: Array) -> Array:
    return _product(x, linear.weight) + _array(linear.bias)


def _product(x: Array, weight: Tensor) -> Array:
    return product(x, _array(weight).T)


def _array(tensor: Tensor) -> Array:
    return tensor.detach().numpy().astype(F)
