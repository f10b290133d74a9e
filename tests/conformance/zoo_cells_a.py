"""AstroEdge's own cells with memories and time constants, beside their equations in NumPy float32.

One rounding an operation, products in the reduction order of the design.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from astroedge.models import L2MU
from tests.conformance.cases import GRID, HIDDEN, INPUTS, OUTPUTS, Array, Case, Tick, Weights, draw_weights
from tests.support.kernels.reference_order import product

F = np.float32
Make = Callable[[], Any]
# From the model, inputs and states, batches of one, each `(1, …)`: outputs and next states.
Advance = Callable[[Any, Array, list[Array]], list[Array]]


def _case(cell: str, variant: str, make: Make, advance: Advance, gain: float, **options: Any) -> Case:
    def build(weights: Weights) -> nn.Module:
        torch.manual_seed(3)
        model = draw_weights(make(), weights, gain=gain)
        if weights is Weights.GRID:
            with torch.no_grad():
                for values in (*model.parameters(), *model.buffers()):
                    values.copy_(torch.round(values * GRID) / GRID)
        return model

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


def _population(neurons: Any, current: Array, state: Sequence[Array]) -> tuple[Array, list[Array]]:
    """Spikes and next state of leaky neurons whose reset is subtracted a tick late."""
    *before, membrane = state
    threshold = _array(neurons.threshold)
    if before:
        current = _array(neurons.alpha) * before[0] + current
    membrane = _array(neurons.beta) * membrane + current - threshold * (membrane > threshold)
    return (membrane > threshold).astype(F), [current, membrane] if before else [membrane]


def _l2mu(model: Any, x: Array, states: list[Array]) -> list[Array]:
    """Encoders, memories that read their own spikes by Ā, hidden neurons, outputs."""
    parts = len(states) // 4
    u, m, h, y = (states[parts * index : parts * (index + 1)] for index in range(4))
    m_prev, h_prev = (
        (state[-1] > _array(model.neurons[name].threshold)).astype(F) for name, state in (("m", m), ("h", h))
    )
    run = {name: partial(_population, model.neurons[name]) for name in "umhy"}
    given, u = run["u"](_linear(model.e_x, x) + _linear(model.e_h, h_prev) + _linear(model.e_m, m_prev), u)
    turned = np.stack([product(row, _array(model.A).T) for row in m_prev[0]])[None]
    stored, m = run["m"](turned + given[..., None] * _array(model.B), m)
    hidden, h = run["h"](_linear(model.W_x, x) + _linear(model.W_h, h_prev) + _linear(model.W_m, stored), h)
    output, y = run["y"](_linear(model.W_o, hidden), y)
    return [output, *u, *m, *h, *y]


def _memories(synaptic: bool) -> Any:
    return L2MU((INPUTS, HIDDEN, OUTPUTS), memory=12, order=3, theta=4.0, synaptic=synaptic)


CASES = [
    _case("L2MU", "", partial(_memories, False), _l2mu, 0.8, ties=False),
    _case("L2MU", "synaptic", partial(_memories, True), _l2mu, 0.5, ties=False),
]
