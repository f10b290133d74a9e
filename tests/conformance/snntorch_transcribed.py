"""snnTorch's SLSTM written out in NumPy float32, one rounding an operation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import nn

from tests.conformance.cases import Array, Tick
from tests.support.kernels.reference_math import sigmoid, tanh
from tests.support.kernels.reference_order import product


def slstm_layers(model: nn.Module) -> Tick:
    """Linear layers, each followed by an SLSTM."""
    cells = [_slstm(cell) for cell in model.cells]  # type: ignore[union-attr]
    linear = [(_numpy(layer.weight), _numpy(layer.bias)) for layer in model.linear]  # type: ignore[union-attr]

    def tick(x: Array) -> tuple[Array, ...]:
        outputs = []
        value = x[0]
        for (weight, bias), cell in zip(linear, cells, strict=True):
            value = cell(product(value, weight.T, bias))
            outputs.append(value[None])
        return tuple(outputs)

    return tick


def _slstm(cell: nn.Module) -> Callable[[Array], Array]:
    """i, f, g, o = split(W x + b + R mem + c); syn ← σ(f) syn + σ(i) tanh(g); mem ← σ(o) tanh(syn), then the reset.

    The reset is decided by the membrane of the last tick: nothing, minus the threshold, or syn untouched and mem to 0.
    """
    lstm, threshold = cell.lstm_cell, np.float32(cell.threshold)
    weights, biases = (_numpy(lstm.weight_ih), _numpy(lstm.weight_hh)), (_numpy(lstm.bias_ih), _numpy(lstm.bias_hh))
    state = {"syn": np.zeros(cell.hidden_size, np.float32), "mem": np.zeros(cell.hidden_size, np.float32)}

    def tick(x: Array) -> Array:
        reset = (state["mem"] > threshold).astype(np.float32)
        gates = product(x, weights[0].T, biases[0]) + product(state["mem"], weights[1].T, biases[1])
        i, f, g, o = np.split(gates, 4)
        syn = sigmoid(f) * state["syn"] + sigmoid(i) * tanh(g)
        mem = sigmoid(o) * tanh(syn)
        if cell.reset_mechanism == "subtract":
            mem = mem - reset * threshold
        elif cell.reset_mechanism == "zero":
            mem = mem - mem * reset
        state.update(syn=syn, mem=mem)
        return (mem > threshold).astype(np.float32)

    return tick


def _numpy(parameter: nn.Parameter) -> Array:
    return parameter.detach().numpy()
