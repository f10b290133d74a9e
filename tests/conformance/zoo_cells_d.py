"""AstroEdge's own language models beside their equations in NumPy float32, one rounding an operation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn

from astroedge.models import BDH, RWKV4, BDHConfig, RWKV4Config, SpikeGPT
from tests.conformance.cases import Array, Case, Tick, Weights
from tests.support.kernels.reference_math import exp, sigmoid
from tests.support.kernels.reference_order import layer_norm, product

F = np.float32
VOCABULARY = 32
Make = Callable[[], Any]
# From the model, a token `(1,)` and states `(1, …)`: output and next states.
Advance = Callable[[Any, Array, list[Array]], list[Array]]


def _tokens(rng: Generator, ticks: int, weights: Weights) -> Array:
    return rng.integers(0, VOCABULARY, (ticks, 1))


def _case(cell: str, make: Make, advance: Advance, **options: Any) -> Case:
    def build(weights: Weights) -> nn.Module:
        torch.manual_seed(3)
        model: nn.Module = make().eval()
        return model

    def transcription(model: Any) -> Tick:
        states = [_array(state) for state in model.initial_state(1)]

        def tick(x: Array) -> tuple[Array, ...]:
            output, *states[:] = advance(model, x, states)
            return output, *states

        return tick

    states = tuple(make().initial_state(1))
    given = {"draw": _tokens, "exact": False, **options}
    return Case("AstroEdge", cell, "", build, states=states, transcription=transcription, **given)


def _array(tensor: Tensor) -> Array:
    return np.asarray(tensor.detach().numpy())


def _linear(linear: Any, x: Array) -> Array:
    return product(x[0], _array(linear.weight).T)[None]


def _norm(norm: Any, x: Array) -> Array:
    return layer_norm(x[0], norm.eps, _array(norm.weight), _array(norm.bias))[None]


def _rwkv(model: Any, token: Array, states: list[Array]) -> list[Array]:
    """Token shift, `wkv` with its running maximum, and two branches, whose neurons fire if the state has membranes."""
    x, following = _array(model.embedding.weight)[token], []
    x = _norm(model.norm_in, (x >= 0).astype(F) if model.spiking else x)
    share = len(states) // len(model.blocks)
    for index, block in enumerate(model.blocks):
        x, *new = _rwkv_layer(block, x, *states[share * index : share * (index + 1)])
        following += new
    return [_linear(model.head, _norm(model.norm, x)), *following]


def _rwkv_layer(
    b: Any, x: Array, before: Array, aa: Array, bb: Array, pp: Array, last: Array, *membranes: Array
) -> list[Array]:
    x1 = _norm(b.norm_time, x)
    x_r, x_k, x_v = _shifted(b.mix_time, x1, before)
    r, k, v = sigmoid(_linear(b.W_r, x_r)), _linear(b.W_k, x_k), _linear(b.W_v, x_v)
    now = _array(b.time_first) + k  # exp(time_decay) below is a constant that PyTorch computes at export
    p = np.maximum(pp, now)
    old, new = exp(pp - p), exp(now - p)
    wkv = (old * aa + new * v) / (old * bb + new)
    faded = pp - _array(torch.exp(b.time_decay))
    p = np.maximum(faded, k)
    old, new = exp(faded - p), exp(k - p)
    y, *q = _branch(_linear(b.W_o, r * wkv), *membranes[:1])
    x = x + y
    x2 = _norm(b.norm_channel, x)
    x_r, x_k = _shifted(b.mix_channel, x2, last)
    hidden = np.maximum(_linear(b.C_k, x_k), F(0))
    y, *q_channel = _branch(sigmoid(_linear(b.C_r, x_r)) * _linear(b.C_v, hidden * hidden), *membranes[1:])
    return [x + y, x1, old * aa + new * v, old * bb + new, p, x2, *q, *q_channel]


def _shifted(mix: Any, x: Array, previous: Array) -> list[Array]:
    return [_array(mu) * x + (F(1) - _array(mu)) * previous for mu in mix.mu.values()]


def _branch(y: Array, *membrane: Array) -> list[Array]:
    if not membrane:
        return [y]
    q = membrane[0] + (y - membrane[0]) / F(2)
    s = (q >= 1).astype(F)
    return [s, q * (F(1) - s)]


def _bdh(model: Any, token: Array, states: list[Array]) -> list[Array]:
    """Positive codes turned by the position read each memory, which then stores them."""
    *memories, t = states
    config = model.config
    turns = t * _array(model.frequencies)
    angles = F(2 * math.pi) * (turns - np.floor(turns))
    cosine, sine = np.cos(angles.astype(np.float64)).astype(F), np.sin(angles.astype(np.float64)).astype(F)
    x, following = _plain_norm(_array(model.embedding.weight)[token][0]), []
    for memory in memories:
        a = np.maximum(_linear(model.E, x[None]), F(0)).reshape(config.heads, config.neurons)
        u, w = a[:, ::2], a[:, 1::2]
        turned = np.stack((u * cosine - w * sine, w * cosine + u * sine), -1).reshape(a.shape)
        c = [_plain_norm(product(row, store)) for row, store in zip(turned, memory[0], strict=True)]
        g = np.stack([product(row, weight) for row, weight in zip(c, _array(model.F), strict=True)])
        following.append(memory + turned[None, :, :, None] * x)
        z = a * np.maximum(g, F(0))
        x = _plain_norm(x + _plain_norm(_linear(model.Dec, z.reshape(1, -1))[0]))
    return [_linear(model.head, x[None]), *following, t + F(1)]


def _plain_norm(x: Array) -> Array:
    return layer_norm(x, 1e-5, np.ones_like(x), np.zeros_like(x))


def _hatched() -> BDH:
    """A small model whose neurons are mostly silent: a direction that all tokens share holds them down."""
    model = BDH(BDHConfig(vocabulary=VOCABULARY, width=24, heads=2, neurons=32, layers=2))
    common = torch.randn(24)
    common = (common - common.mean()) / common.std()
    with torch.no_grad():
        model.embedding.weight.normal_().add_(2 * common)
        model.E.weight.normal_().sub_(0.25 * common)
    return model


def _made(kind: type[RWKV4]) -> RWKV4:
    """A small model whose branches give enough for their neurons to fire."""
    model = kind(RWKV4Config(vocabulary=VOCABULARY, width=24, layers=2, feed_forward=40))
    with torch.no_grad():
        for block in model.blocks:
            for linear in (block.W_o, block.C_v):
                linear.weight.mul_(24.0)
    return model


CASES = [
    _case("BDH", _hatched, _bdh, fires=False),
    _case("RWKV4", lambda: _made(RWKV4), _rwkv, fires=False),
    _case("SpikeGPT", lambda: _made(SpikeGPT), _rwkv),
]
