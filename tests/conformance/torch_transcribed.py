"""PyTorch's recurrent cells in NumPy float32, one rounding an operation, in the order of the compiled step.

Products follow the reduction order of the design; sigmoid and tanh are AstroEdge's exact functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from tests.conformance.cases import Array, Tick
from tests.support.kernels.reference_math import sigmoid, tanh
from tests.support.kernels.reference_order import product

# From the products with the input and with h, gate after gate, and the state: the next state, h first.
Advance = Callable[[Array, Array, Sequence[Array]], tuple[Array, ...]]


def recurrent(model: nn.Module, start: Sequence[torch.Tensor] = ()) -> Tick:
    """One tick of a cell, which gives its state, or of a GRU, LSTM or RNN, which gives h of the last layer.

    `start` is h, or h and c, of all layers `(layers, 1, hidden)` before the first tick, zeros by default.
    """
    advance, parts = _kind(model)
    is_cell = isinstance(model, nn.RNNCellBase)
    ends = [""] if is_cell else [f"_l{layer}" for layer in range(int(model.num_layers))]  # type: ignore[call-overload]
    zeros = np.zeros((parts, len(ends), int(model.hidden_size)), np.float32)  # type: ignore[call-overload]
    first = np.stack([part.numpy().reshape(zeros.shape[1:]) for part in start]) if start else zeros
    states = [tuple(first[:, layer]) for layer in range(len(ends))]

    def tick(x: Array) -> tuple[Array, ...]:
        y = x.reshape(-1)
        for layer, end in enumerate(ends):
            from_input = _product(model, y, f"ih{end}")
            states[layer] = advance(from_input, _product(model, states[layer][0], f"hh{end}"), states[layer])
            y = states[layer][0]
        shape = (*x.shape[:-1], len(y))
        return tuple(part.reshape(shape) for part in states[0]) if is_cell else (y.reshape(shape),)

    return tick


def _kind(model: nn.Module) -> tuple[Advance, int]:
    """The equation of a model and how many tensors its state has."""
    if isinstance(model, (nn.GRU, nn.GRUCell)):
        return _gru, 1
    if isinstance(model, (nn.LSTM, nn.LSTMCell)):
        return _lstm, 2
    return (_rectified if model.nonlinearity == "relu" else _elman), 1


def _product(model: nn.Module, x: Array, name: str) -> Array:
    weight, bias = (getattr(model, f"{kind}_{name}").detach().numpy() for kind in ("weight", "bias"))
    return product(x, weight.T, bias)


def _gru(from_input: Array, from_h: Array, state: Sequence[Array]) -> tuple[Array, ...]:
    """r = σ(·), z = σ(·), n = tanh(Wx + b + r (Uh + c)), h' = (h - n) z + n."""
    (h,) = state
    (r, z, n), (own_r, own_z, own_n) = np.split(from_input, 3), np.split(from_h, 3)
    new = tanh(n + own_n * sigmoid(r + own_r))
    return ((h - new) * sigmoid(z + own_z) + new,)


def _lstm(from_input: Array, from_h: Array, state: Sequence[Array]) -> tuple[Array, ...]:
    """c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c')."""
    i, f, g, o = np.split(from_input + from_h, 4)
    c = sigmoid(f) * state[1] + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def _elman(from_input: Array, from_h: Array, state: Sequence[Array]) -> tuple[Array, ...]:
    return (tanh(from_input + from_h),)


def _rectified(from_input: Array, from_h: Array, state: Sequence[Array]) -> tuple[Array, ...]:
    return (np.maximum(from_input + from_h, np.float32(0)),)
