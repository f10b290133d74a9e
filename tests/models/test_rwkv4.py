"""RWKV-4 and SpikeGPT: their equations, the first tick of an empty memory, training, and the compiled step."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
import torch

import astroedge
from astroedge.errors import InputError
from astroedge.models import RWKV4, RWKV4Config, SpikeGPT
from astroedge.models.rwkv4 import EMPTY, remember
from tests.support.equations import logistic, norm
from tests.support.stepping import Array, assert_fires, assert_follows, compiled, walk

CONFIG = RWKV4Config(vocabulary=50, width=24, layers=2, feed_forward=40)


def model(kind: type[RWKV4]) -> RWKV4:
    """A small model with random weights, those of the branches' outputs large enough for their neurons to fire."""
    torch.manual_seed(6)
    made = kind(CONFIG).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith(("W_o.weight", "C_v.weight")):
                parameter.mul_(24.0)
    return made


def tokens(ticks: int, streams: int) -> torch.Tensor:
    """Random tokens."""
    return torch.randint(50, (ticks, streams), generator=torch.Generator().manual_seed(7))


def layer(p: dict[str, Array], x: Array, state: Sequence[Array]) -> tuple[Array, list[Array]]:
    """One layer, its memory without the running maximum: the sums as they are, e^pp times what the state holds."""
    before, aa, bb, pp, before_channel, *membranes = state

    def mixed(name: str, letter: str, x: Array, previous: Array) -> Array:
        mu = p[f"mix_{name}.mu.{letter}"]
        return mu * x + (1 - mu) * previous

    def branch(y: Array, position: int) -> Array:
        if not membranes:
            return y
        q = (membranes[position] + y) / 2
        s = (q >= 1).astype(y.dtype)
        membranes[position] = q * (1 - s)
        return s

    x1 = norm(x, p["norm_time.weight"], p["norm_time.bias"])
    r, k, v = (mixed("time", letter, x1, before) @ p[f"W_{letter}.weight"].T for letter in "rkv")
    a, b, now, fade = np.exp(pp) * aa, np.exp(pp) * bb, np.exp(p["time_first"] + k), -np.exp(p["time_decay"])
    wkv = (a + now * v) / (b + now)
    pp = np.maximum(pp + fade, k)
    aa, bb = ((np.exp(fade) * old + np.exp(k) * new) * np.exp(-pp) for old, new in ((a, v), (b, 1)))
    x = x + branch((logistic(r) * wkv) @ p["W_o.weight"].T, 0)
    x2 = norm(x, p["norm_channel.weight"], p["norm_channel.bias"])
    r, k = (mixed("channel", letter, x2, before_channel) @ p[f"C_{letter}.weight"].T for letter in "rk")
    x = x + branch(logistic(r) * (np.maximum(k, 0) ** 2 @ p["C_v.weight"].T), 1)
    return x, [x1, aa, bb, pp, x2, *membranes]


def equations(
    parameters: dict[str, Array], inputs: Sequence[Array], state: Sequence[Array], *, binary: bool
) -> tuple[Array, list[Array]]:
    """One tick of the whole model."""
    x = parameters["embedding.weight"][inputs[0]]
    x = norm((x >= 0).astype(x.dtype) if binary else x, parameters["norm_in.weight"], parameters["norm_in.bias"])
    share, following = len(state) // CONFIG.layers, []
    for index in range(CONFIG.layers):
        prefix = f"blocks.{index}."
        own = {name.removeprefix(prefix): value for name, value in parameters.items() if name.startswith(prefix)}
        x, new = layer(own, x, state[share * index : share * (index + 1)])
        following += new
    x = norm(x, parameters["norm.weight"], parameters["norm.bias"])
    return x @ parameters["head.weight"].T, following


@pytest.mark.parametrize("kind", [RWKV4, SpikeGPT])
def test_a_tick_is_its_equations(kind: type[RWKV4]) -> None:
    """Output and state of three streams over 50 ticks are those of a NumPy transcription."""
    assert_follows(model(kind), partial(equations, binary=kind is SpikeGPT), tokens(50, 3))


def test_an_empty_memory_gives_the_first_value() -> None:
    """On the first tick `wkv` is the value itself, whatever the key, and the memory then holds it with weight one."""
    k, v = torch.tensor([[-90.0, -3.0, 0.0, 4.0, 90.0]]), torch.tensor([[1.5, -2.0, 0.3, 7.0, -1.0]])
    zero = torch.zeros(1, 5)
    wkv, aa, bb, pp = remember(k, v, zero, zero, zero + EMPTY, first=torch.full((5,), -1.2), decay=torch.ones(5))
    assert torch.equal(wkv, v)
    assert torch.equal(aa, v)
    assert torch.equal(bb, torch.ones(1, 5))
    assert torch.equal(pp, k)


def test_compiled_it_remembers_and_fires() -> None:
    """From its first tick the compiled SpikeGPT follows PyTorch, its branches fire, and ReLU² skips its zeros."""
    inputs, made = tokens(60, 1), model(SpikeGPT)
    bundle = compiled(made, inputs)
    with astroedge.load(bundle) as session:
        given = session.step(token=inputs[0].numpy())
        first = walk(made, [inputs[:1]])[0]
        np.testing.assert_allclose(given["logits"], first[0], rtol=1e-4, atol=1e-4)
        for name, value in zip(made.state_names(), first[1:], strict=True):
            np.testing.assert_allclose(session.states[name], value, rtol=1e-4, atol=1e-4, err_msg=name)
        assert np.isfinite(session.run(token=inputs.numpy())["logits"]).all()
        rates = {name: count.firing_rate for name, count in session.activity().items()}
    assert_fires(rates)
    event = {matrix.name for matrix in bundle.manifest.matrices if matrix.kernel == "event"}
    assert event == {"blocks.0.C_v", "blocks.1.C_v"}


def test_it_trains_through_its_spikes() -> None:
    """In training mode a loss over four ticks has a gradient at every parameter."""
    made = model(SpikeGPT).train()
    state, loss = made.initial_state(2), torch.zeros(())
    for token in tokens(4, 2):
        logits, *state = made(token, *state)
        loss = loss + logits.square().mean()
    loss.backward()
    gradients = {name: parameter.grad for name, parameter in made.named_parameters()}
    assert [name for name, gradient in gradients.items() if gradient is None or not gradient.abs().max() > 0] == []


def test_an_impossible_size_is_refused() -> None:
    """No layers raise InputError."""
    with pytest.raises(InputError):
        RWKV4Config(layers=0)
