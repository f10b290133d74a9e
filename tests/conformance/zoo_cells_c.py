"""AstroEdge's own cells with events and delays beside their equations in NumPy float32, one rounding an operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from astroedge.models import HMMGLM, EGRUNetwork, PLIFNetwork, SNUNetwork
from astroedge.models.delay_network import DelayedLinear, DelayNetwork
from tests.conformance.cases import HIDDEN, INPUTS, OUTPUTS, Array, Case, Tick, Weights, draw_weights, drawn
from tests.support.kernels.reference_math import exp, log, sigmoid, tanh
from tests.support.kernels.reference_order import product, tree

F = np.float32
WIDTHS = (INPUTS, HIDDEN, OUTPUTS)
Make = Callable[[], Any]
# From the model, inputs and states, batches of one, each `(1, …)`: outputs and next states.
Advance = Callable[[Any, Array, list[Array]], list[Array]]


def _case(
    cell: str, variant: str, make: Make, advance: Advance | None, gain: float, tie: float = 1.0, **options: Any
) -> Case:
    def build(weights: Weights) -> nn.Module:
        torch.manual_seed(3)
        model = draw_weights(make(), weights, gain=gain, tie=tie)
        rng = np.random.default_rng(9)
        for layer in [module for module in model.modules() if isinstance(module, DelayedLinear)]:
            layer.weight.data = drawn(rng, tuple(layer.weight.shape), weights, gain, tie)
            layer.bias.data = drawn(rng, tuple(layer.bias.shape), weights, 0.1 * gain, 0.0)
        return model

    def transcription(model: nn.Module) -> Tick:
        assert advance is not None
        states = [_array(state) for state in model.initial_state(1)]

        def tick(x: Array) -> tuple[Array, ...]:
            output, *states[:] = advance(model, x, states)
            return output, *states

        return tick

    states = tuple(make().initial_state(1))
    return Case(
        "AstroEdge", cell, variant, build, states=states, transcription=transcription if advance else None, **options
    )


class Endless(DelayNetwork):
    """Delays in a stream without an end."""

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick."""
        return super().forward(x, torch.zeros(1, 1), *state)


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


def _push(model: Any, x: Array, states: list[Array]) -> list[Array]:
    """Weights are added to the currents of the tick in which they are due; the last layer does not fire."""
    waiting, membranes = [], []
    for index, layer in enumerate(model.layers):
        delay, taps = _array(layer.delay), np.zeros((x.shape[1], model.taps, len(layer.bias)), F)
        i, j = np.indices(delay.shape)
        taps[j, delay, i] = _array(layer.weight)
        line = states[index] + product(x[0], taps.reshape(len(taps), -1)).reshape(1, model.taps, -1)
        v = states[index + len(model.layers)] * _array(model.decays[index]) + (line[:, 0] + _array(layer.bias))
        if index + 1 < len(model.layers):
            x = (v >= 1).astype(F)
            v = v * (F(1) - x)
        waiting.append(np.concatenate([line[:, 1:], np.zeros_like(line[:, :1])], axis=1))
        membranes.append(v)
    return [v, *waiting, *membranes]


def _snu(model: Any, x: Array, states: list[Array]) -> list[Array]:
    """The output of the last tick resets the membrane; of axo-axonic units it is graded."""
    following = []
    for index, layer in enumerate(model.layers):
        v, y = states[2 * index : 2 * index + 2]
        v = _linear(layer.W, x) + _linear(layer.R, y) + F(0.8) * v * (F(1) - y)
        fired = (v > _array(layer.b)).astype(F)
        axonic = layer.kind == "axo-axonic"
        x = fired * sigmoid(_linear(layer.W_axon, x) + _linear(layer.R_axon, y)) if axonic else fired
        following += [v, x]
    return [_linear(model.readout, x), *following]


def _hmm_glm(model: Any, y: Array, states: list[Array]) -> list[Array]:
    """Predict by the transitions, correct by the likelihood of the spikes, all in logarithms."""
    alpha, spikes = states
    rates = _linear(model.W, spikes).reshape(model.states, model.neurons)
    likelihood = np.array([tree(row) for row in y * rates - exp(rates)])
    transitions = _array(torch.log_softmax(model.log_A, dim=1))
    joint = np.array([_log_sum_exp(column) for column in (alpha[0][:, None] + transitions).T]) + likelihood
    alpha = (joint - _log_sum_exp(joint))[None]
    return [alpha, alpha, np.concatenate([y[:, None], spikes[:, :-1]], axis=1)]


def _log_sum_exp(values: Array) -> Any:
    highest = values.max()
    return log(tree(exp(values - highest)).reshape(1))[0] + highest


CASES = [
    _case("EGRUNetwork", "", lambda: EGRUNetwork(WIDTHS), _egru, 3.0, exact=False),
    _case("PLIFNetwork", "", lambda: PLIFNetwork((INPUTS, HIDDEN, 2)), _plif, 4.0, tie=2.0),
    _case("PLIFNetwork", "decay_input=False, subtracting reset", _unscaled, _plif, 2.0),
    _case("DelayNetwork", "push", lambda: Endless((*WIDTHS, 4), 9, 1.5), _push, 1.5),
    _case("DelayNetwork", "ring", lambda: Endless((*WIDTHS, 4), 9, 1.5, form="ring"), None, 1.5),
    _case("SNUNetwork", "", lambda: SNUNetwork(WIDTHS), _snu, 3.0, ties=False),
    _case("SNUNetwork", "axo-axonic", lambda: SNUNetwork(WIDTHS, "axo-axonic"), _snu, 3.0, exact=False),
    _case("HMMGLM", "", lambda: HMMGLM(INPUTS), _hmm_glm, 1.0, exact=False, fires=False),
]
