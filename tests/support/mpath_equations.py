"""One tick of MPATH on NumPy arrays of one precision, written from its equations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tests.support.stepping import Array

Function = Callable[[Array], Array]


def equations(
    parameters: dict[str, Array],
    inputs: Sequence[Array],
    state: Sequence[Array],
    product: Callable[[Array, Array], Array] = np.matmul,
    functions: tuple[Function, Function] = (np.exp, np.tanh),
) -> tuple[Array, list[Array]]:
    """The last activity and the next state; `product` is that of rows and a matrix, `functions` are exp and tanh."""
    exp, tanh = functions
    x, following = inputs[0], []
    for layer in range(len(state) // 4):
        V, mu, nu, a = state[4 * layer : 4 * layer + 4]
        W, alpha, decay_V, decay_a = (
            parameters[f"layers.{layer}.{name}"] for name in ("W.weight", "alpha", "decay_V", "decay_a")
        )
        V, a = V * decay_V, a * decay_a
        mu, nu = _stats(V, mu, nu, alpha)
        V = V + product(x, W.T)
        with np.errstate(divide="ignore", invalid="ignore"):
            n = (V - mu) / np.sqrt(nu)
            rho = tanh(n) - exp(-10 * alpha * n)
        mu, nu = _stats(V, mu, nu, alpha)
        V, a = np.where(rho >= 0, V.dtype.type(0), V), np.where(rho >= 0, rho, a)
        following += [V, mu, nu, a]
        x = a
    return x, following


def _stats(V: Array, mu: Array, nu: Array, alpha: Array) -> tuple[Array, Array]:
    delta = V - mu
    return mu + alpha * delta, (1 - alpha) * (nu + alpha * delta * delta)
