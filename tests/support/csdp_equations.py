"""One tick of a CSDP circuit on NumPy arrays of one precision, written from its equations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tests.support.stepping import Array

TAU = 13.0


def equations(
    parameters: dict[str, Array],
    inputs: Sequence[Array],
    state: Sequence[Array],
    product: Callable[[Array, Array], Array] = np.matmul,
) -> tuple[Array, list[Array]]:
    """Class spikes and the next state; `product` is that of the rows of spikes and a matrix."""
    count = (len(state) - 4) // 3
    z, membranes, thresholds = [state[0], *state[2:-3:3]], state[1:-3:3], state[3:-3:3]

    def current(name: str, layer: int, spikes: Array) -> Array:
        return product(spikes, parameters[f"{name}.{layer}.weight"].T)

    def cell(layer: int, j: Array, v: Array, thr: Array) -> tuple[Array, Array, Array]:
        v = v + parameters[f"cells.{layer}.leak"] * (j - v)
        s = np.where(v > thr, v.dtype.type(1), v.dtype.type(0))
        return v * (1 - s), s, np.maximum(thr + 0.001 * (s.sum(1, keepdims=True) - 1), v.dtype.type(0.025))

    following = [inputs[0]]
    for layer in range(count):
        j = 0.1 * current("W", layer, z[layer]) - 0.01 * current("M", layer, z[layer + 1])
        if layer + 1 < count:
            j = j + 0.1 * current("V", layer, z[layer + 2])
        following += cell(layer, j, membranes[layer], thresholds[layer])
    j = current("C", 0, z[1])
    for layer in range(1, count):
        j = j + current("C", layer, z[layer + 1])
    v, s, thr = cell(count, j, state[-3], state[-2])
    return s, [*following, v, thr, (1 - 3 / TAU) * state[-1] * (1 - s) + s]
