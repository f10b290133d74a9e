"""One tick of NALSM on NumPy arrays of one precision, written from its equations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tests.support.stepping import Array

KAPPA = float(np.exp(-0.1))


def equations(
    parameters: dict[str, Array],
    inputs: Sequence[Array],
    state: Sequence[Array],
    product: Callable[[Array, Array], Array] = np.matmul,
) -> tuple[Array, list[Array]]:
    """Reservoir spikes and the next v, rfr, tr, age, W, η, A, w_a, b_a; `product` is that of a row and a matrix."""
    (x,) = inputs
    v, rfr, tr, age, W, eta, A, w_a, b_a = state
    count, kernel = x.shape[1], parameters["kernel"].reshape(v.shape[1], 101)
    s = (v * (1 - np.clip(rfr, 0, 1)) - parameters["threshold"] >= 0).astype(v.dtype)
    age = np.where(s > 0, 0, age)
    u = kernel[np.arange(v.shape[1]), age]
    received = np.stack([product(row, weights) for row, weights in zip(u, W, strict=True)])
    v = v * (1 - s)
    v = v - v / parameters["tau_v"] + parameters["b"] + np.concatenate([100 * x, received], axis=1)
    exciting = parameters["exciting"]
    after_trace = np.where(exciting, eta, -A) * tr
    before_trace = np.where(exciting, -A, eta) * s
    change = after_trace[:, :, None] * s[:, None, count:] + before_trace[:, :, None] * tr[:, None, count:]
    lowest = np.where(np.arange(len(exciting)) < count, -3, np.where(exciting, 0, -3)).astype(v.dtype)[:, None]
    highest = np.where(exciting, 3, 0).astype(v.dtype)[:, None]
    W = np.where(parameters["synapses"], np.clip(W + change, lowest, highest), v.dtype.type(0))
    active = s[:, count:].sum(1, keepdims=True) - s[:, :count].sum(1, keepdims=True)
    A = A + (w_a * active + b_a - A) / 100
    rates = [0.99 * rate for rate in (eta, A, w_a, b_a)]
    return s[:, count:], [
        v,
        (rfr - 1) * (1 - s) + 2 * s,
        KAPPA * (tr + 0.1 * s),
        np.clip(age + 1, 0, 100),
        W,
        *rates,
    ]
