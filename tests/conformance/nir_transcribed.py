"""NIR's nodes in NumPy float32: one step of forward Euler of their equations, one rounding an operation.

Written from the equations in the docstrings of nir 1.0.8 (Pedersen et al. 2024, "Neuromorphic intermediate
representation", Nature Communications 15, 8122); constants are computed in float64 and rounded once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from astroedge.targets.kernels.convolutions.convolution import Convolution
from tests.conformance.cases import Array, Tick
from tests.support.kernels.reference_convolution import convolve
from tests.support.kernels.reference_order import product

F = np.float32
Memory = dict[str, Any]


def transcribed(nodes: Sequence[Any], loop: Any, dt: float, choices: Mapping[str, str]) -> Tick:
    """One tick of `nodes` one after the other; with a `loop`, a Linear, the last one hears itself a tick later."""
    memories: list[Memory] = [{} for _ in nodes]
    last: list[Array] = []

    def tick(x: Array) -> tuple[Array, ...]:
        x = x[0]
        for index, (node, memory) in enumerate(zip(nodes, memories, strict=True)):
            if loop is not None and index == len(nodes) - 1:
                x = x + product(last.pop() if last else np.zeros(len(loop.weight), F), loop.weight.T)
            x = STEPS[type(node).__name__](node, x, memory, dt, choices)
        last.append(x)
        return (x[None],)

    return tick


def _leaky(node: Any, x: Array, memory: Memory, dt: float, choices: Mapping[str, str]) -> Array:
    """tau dv/dt = (v_leak - v) + r x."""
    tau = node.tau_mem if hasattr(node, "tau_mem") else node.tau
    v = memory.get("v", node.v_leak.astype(F) if choices.get("start") == "rest" else F(0))
    change = (dt / tau).astype(F) * (node.v_leak.astype(F) - v) + (dt / tau * node.r).astype(F) * x
    return _settle(node, v + change, memory, choices)


def _integrating(node: Any, x: Array, memory: Memory, dt: float, choices: Mapping[str, str]) -> Array:
    """dv/dt = r x."""
    gain = node.r if choices["input"] == "impulse" else dt * node.r
    return _settle(node, memory.get("v", F(0)) + gain.astype(F) * x, memory, choices)


def _driven(node: Any, x: Array, memory: Memory, dt: float, choices: Mapping[str, str]) -> Array:
    """tau_syn dI/dt = -I + w_in x, and a leaky membrane that gets I."""
    before = memory.get("i", F(0))
    weight = (dt / node.tau_syn if choices["input"] == "held" else 1 / node.tau_syn) * node.w_in
    memory["i"] = before - (dt / node.tau_syn).astype(F) * before + weight.astype(F) * x
    return _leaky(node, before if choices["current"] == "old" else memory["i"], memory, dt, choices)


def _settle(node: Any, v: Array, memory: Memory, choices: Mapping[str, str]) -> Array:
    """Fire and reset, or give the membrane."""
    before, memory["v"] = memory.get("v", np.zeros_like(v)), v
    if not hasattr(node, "v_threshold"):
        return v
    threshold, reset = node.v_threshold.astype(F), choices.get("reset", "value")
    fires = np.greater_equal if choices.get("threshold") == "reached" else np.greater
    if reset == "later":
        memory["v"] = np.where(fires(before, threshold), v - threshold, v)
        return fires(memory["v"], threshold).astype(F)
    fired = fires(v, threshold)
    memory["v"] = np.where(fired, v - threshold if reset == "subtract" else node.v_reset.astype(F), v)
    return fired.astype(F)


def _delay(node: Any, x: Array, memory: Memory, dt: float, choices: Mapping[str, str]) -> Array:
    """Every element comes out its own number of ticks later."""
    ticks = np.rint(node.delay / dt).astype(int)
    past = memory.setdefault("past", [np.zeros_like(x)] * int(ticks.max()))
    past.append(x)
    return np.array([past[len(past) - 1 - delay][element] for element, delay in enumerate(ticks)], F)


def _affine(node: Any, x: Array, *rest: object) -> Array:
    return product(x, node.weight.T, getattr(node, "bias", None))


def _convolution(node: Any, x: Array, *rest: object) -> Array:
    """Conv1d is a Conv2d of images one row high."""
    is_line = node.weight.ndim == 3
    weight, image = (node.weight[:, :, None], x[:, None]) if is_line else (node.weight, x)
    stride, padding = ((1, node.stride), (0, node.padding)) if is_line else (node.stride, node.padding)
    sums = _window_sums(image, weight, stride, padding, int(node.groups)) + node.bias[:, None, None]
    return sums[:, 0] if is_line else sums


def _sum_pool(node: Any, x: Array, *rest: object) -> Array:
    ones = np.ones((len(x), 1, *node.kernel_size), F)
    return _window_sums(x, ones, node.stride, node.padding, len(x))


def _average_pool(node: Any, x: Array, *rest: object) -> Array:
    return _sum_pool(node, x) / F(np.prod(node.kernel_size))


def _window_sums(x: Array, weight: Array, stride: Any, padding: Any, groups: int) -> Array:
    pads = [int(value) for value in padding]
    kernel, strides = tuple(weight.shape[2:]), tuple(int(value) for value in stride)
    conv = Convolution(1, *x.shape, len(weight), kernel, strides, (*pads, *pads), (1, 1), groups)
    return convolve(x[None], weight, conv)[0]


STEPS = {
    "LIF": _leaky,
    "LI": _leaky,
    "IF": _integrating,
    "I": _integrating,
    "CubaLIF": _driven,
    "CubaLI": _driven,
    "Affine": _affine,
    "Linear": _affine,
    "Conv1d": _convolution,
    "Conv2d": _convolution,
    "SumPool2d": _sum_pool,
    "AvgPool2d": _average_pool,
    "Flatten": lambda node, x, *rest: x.reshape(-1),
    "Scale": lambda node, x, *rest: node.scale.astype(F) * x,
    "Threshold": lambda node, x, *rest: (x > node.threshold.astype(F)).astype(F),
    "Delay": _delay,
}
