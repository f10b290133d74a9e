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

from astroedge.models import ELM, L2MU, DiverseNetwork, LearntTauRNN, RateRNN
from tests.conformance.cases import GRID, HIDDEN, INPUTS, OUTPUTS, Array, Case, Tick, Weights, draw_weights
from tests.support.kernels.reference_math import sigmoid, tanh
from tests.support.kernels.reference_order import product, tree

F = np.float32
WIDTHS = (INPUTS, HIDDEN, OUTPUTS)
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


def _elm(model: Any, x: Array, states: list[Array]) -> list[Array]:
    """Synapses and branches that leak, a proposal of an MLP, memories; the factors of time are PyTorch's."""
    dendrite, m = states
    with torch.no_grad():
        tau = model.tau_m()
        kappa, kept = _array(torch.exp(-model.dt / tau)), _array(torch.exp(-model.dt / model.tau_s))
        first = model.version == 1
        written = _array(model.scale * (1 - torch.exp(-model.dt / tau)))
        written = written if first else _array(1 - torch.exp(-model.scale * model.dt / tau))
        given = _array(torch.relu(model.w) * model.wired) * x[:, _array(model.table)]
    dendrite = kept * dendrite + (given if first else _branches(model, given))
    b = _branches(model, dendrite) if first else dendrite
    hidden = _linear(model.hidden, np.hstack([b, kappa * m]))
    hidden = np.maximum(hidden, F(0)) if isinstance(model.activation, nn.ReLU) else hidden * sigmoid(hidden)
    m = kappa * m + written * (F(1.7159) * tanh(F(2 / 3) * _linear(model.proposal, hidden)))
    return [_linear(model.readout, m), dendrite, m]


def _branches(model: Any, synapses: Array) -> Array:
    """Sums of the synapses of each branch, in the order of the design."""
    return np.stack([tree(row) for row in synapses.reshape(model.branches, -1)])[None]


def _neuron(version: int, activation: str) -> Any:
    table = torch.arange(-1, 39) % INPUTS
    table[7] = -1
    sizes = {"memories": 20, "branches": 8, "synapses": 5}
    return ELM(INPUTS, OUTPUTS, version=version, activation=activation, table=table, **sizes)


def _learnt_tau(model: Any, x: Array, states: list[Array]) -> list[Array]:
    """A leak and what W, without its diagonal, and W_in bring; φ around all or around the current."""
    (h,) = states
    with torch.no_grad():
        share = 1 / (model.stretch * model.tau.clamp(min=1))
        kept, share, others = _array(1 - share), _array(share), _array(model.W.weight * model.others)
    current = product(h[0], others.T, _array(model.W.bias))[None] + _linear(model.W_in, x)
    h = kept * h + share * _leaky(current) if model.outside else _leaky(kept * h + share * current)
    return [_linear(model.V, h).reshape(1, model.heads, -1), h]


def _leaky(a: Array) -> Array:
    return np.where(a < 0, F(0.01) * a, a)


def _bits(outside: bool) -> Any:
    return LearntTauRNN(INPUTS, HIDDEN, 4, outside=outside)


def _rate_rnn(model: Any, x: Array, states: list[Array]) -> list[Array]:
    """A leak and what J brings of the rates and B of the inputs; dt/τ is PyTorch's."""
    (before,) = states
    share = _array(model.dt / model.tau)
    following = (F(1) - share) * before + share * (_linear(model.J, tanh(before)) + _linear(model.B, x))
    return [_linear(model.W, tanh(following)), following]


def _rates() -> Any:
    model = RateRNN(INPUTS, HIDDEN, OUTPUTS)
    model.tau.copy_(torch.linspace(1.0, 20.0, HIDDEN))
    return model


def _diverse(model: Any, x: Array, states: list[Array]) -> list[Array]:
    """Rows 0 and 2 of each neuron's matrix, and the fixed weights between layers."""
    following = []
    for index, (layer, h) in enumerate(zip(model.layers, states, strict=True)):
        if index > 0:
            x = product(x[0], _array(model.weights[index - 1]))[None]
        x, h = (tanh(row[0] * x + row[1] + row[2] * h) for row in _array(layer.P)[[0, 2]])
        following.append(h)
    return [x, *following]


CASES = [
    _case("L2MU", "", partial(_memories, False), _l2mu, 0.8, ties=False),
    _case("L2MU", "synaptic", partial(_memories, True), _l2mu, 0.5, ties=False),
    _case("ELM", "version 1", partial(_neuron, 1, "relu"), _elm, 1.0, exact=False, fires=False),
    _case("ELM", "version 2, SiLU", partial(_neuron, 2, "silu"), _elm, 1.0, exact=False, fires=False),
    _case("LearntTauRNN", "", partial(_bits, False), _learnt_tau, 1.0, exact=False, fires=False),
    _case("LearntTauRNN", "φ outside", partial(_bits, True), _learnt_tau, 1.0, exact=False, fires=False),
    _case("RateRNN", "", _rates, _rate_rnn, 1.0, exact=False, fires=False),
    _case("DiverseNetwork", "", lambda: DiverseNetwork(WIDTHS), _diverse, 1.0, exact=False, fires=False),
]
