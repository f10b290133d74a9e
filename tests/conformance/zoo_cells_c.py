"""AstroEdge's own cells with events and delays beside their equations in NumPy float32, one rounding an operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from astroedge.models import EGRUNetwork, PLIFNetwork
from tests.conformance.cases import HIDDEN, INPUTS, OUTPUTS, Array, Case, Tick, Weights, draw_weights
from tests.support.kernels.reference_math import sigmoid, tanh
from tests.support.kernels.reference_order import product

F = np.float32
WIDTHS = (INPUTS, HIDDEN, OUTPUTS)
Make = Callable[[], Any]
# From the model, inputs and states, batches of one, each `(1, …)`: outputs and next states.
Advance = Callable[[Any, Array, list[Array]], list[Array]]


def _case(cell: str, variant: str, make: Make, advance: Advance, gain: float, tie: float = 1.0, **options: Any) -> Case:
    def build(weights: Weights) -> nn.Module:
        torch.manual_seed(3)
        return draw_weights(make(), weights, gain=gain, tie=tie)

    def transcription(model: nn.Module) -> Tick:
        states = [_array(state) for state in model.initial_state(1)]

        def tick(x: Array) -> tuple[Array, ...]:
            output, *states[:] = advance(model, x, states)
            return output, *states

        return tick

    states = tuple(make().initial_state(1))
    return Case("AstroEdge", cell, variant, build, states=states, transcription=transcription, **options)


def _array(tensor: Tensor) -> Array:
    return np.asarray(tensor.detach().numpy())


def _linear(linear: Any, x: Array) -> Array:
    bias = None if linear.bias is None else _array(linear.bias)
    return product(x.reshape(-1), _array(linear.weight).T, bias)[None]


def _egru(model: Any, x: Array, states: list[Array]) -> list[Array]:
    """Gates, a proposal, and a graded event where the cell is above its threshold."""
    following = []
    for index, layer in enumerate(model.layers):
        c, y = states[2 * index : 2 * index + 2]
        given, own = (np.split(_linear(*pair), 3, axis=1) for pair in ((layer.W, x), (layer.R, y)))
        z, r = sigmoid(given[0] + own[0]), sigmoid(given[1] + own[1])
        c = z * c + (F(1) - z) * tanh(given[2] + r * own[2])
        threshold = _array(layer.threshold)
        event = (c > threshold).astype(F)
        x = event * c
        following += [c - event * threshold, x]
    o = F(0.9) * states[-1] + F(1 - 0.9) * _linear(model.readout, x)
    return [o, *following, o]


def _plif(model: Any, x: Array, states: list[Array]) -> list[Array]:
    """Membranes with k = σ(w), with or without a decay of the current; a hard reset or one by subtraction."""
    following = []
    for linear, neurons, v in zip(model.linears, model.neurons, states, strict=True):
        current, k = _linear(linear, x), sigmoid(_array(neurons.w))
        v = v + k * (current - v) if neurons.decay_input else v * (F(1) - k) + current
        x = (v >= 1).astype(F)
        following.append(v - x if neurons.subtract_reset else v * (F(1) - x))
    return [x.reshape(1, -1, 10).sum(-1) * F(0.1), *following]


def _unscaled() -> Any:
    return PLIFNetwork((INPUTS, HIDDEN, 2), decay_input=False, subtract_reset=True)


CASES = [
    _case("EGRUNetwork", "", lambda: EGRUNetwork(WIDTHS), _egru, 3.0, exact=False),
    _case("PLIFNetwork", "", lambda: PLIFNetwork((INPUTS, HIDDEN, 2)), _plif, 4.0, tie=2.0),
    _case("PLIFNetwork", "decay_input=False, subtracting reset", _unscaled, _plif, 2.0),
]
