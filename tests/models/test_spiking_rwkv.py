"""SpikingRWKV: its equations, its memory against the sums it stands for, and the compiled step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

import astroedge
from astroedge.errors import InputError
from astroedge.models import SpikingRWKV, SpikingRWKVConfig
from tests.support.equations import logistic, norm
from tests.support.stepping import Array, assert_fires, assert_follows, compiled

CONFIG = SpikingRWKVConfig(vocabulary=50, width=24, feed_forward=40, layers=2)


@pytest.fixture
def model() -> SpikingRWKV:
    """A small model with random weights and thresholds low enough for every population to fire."""
    torch.manual_seed(6)
    model = SpikingRWKV(CONFIG).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("threshold"):
                parameter.fill_(0.3 if "neuron_o." in name else 1.0)
    return model


def tokens(ticks: int, streams: int) -> torch.Tensor:
    """Random tokens."""
    return torch.randint(50, (ticks, streams), generator=torch.Generator().manual_seed(7))


class Layer:
    """One layer of the equations in the module's docstring, reading and renewing its part of the state."""

    def __init__(self, parameters: dict[str, Array], index: int, state: Sequence[Array]) -> None:
        prefix = f"blocks.{index}."
        self.p = {name.removeprefix(prefix): value for name, value in parameters.items() if name.startswith(prefix)}
        self.state = list(state)

    def lif(self, name: str, y: Array, position: int) -> Array:
        """Spikes of one population; its membrane is at `position` of the state."""
        q = self.state[position] / 2 + y
        s = (q >= self.p[f"{name}.threshold"]).astype(q.dtype)
        self.state[position] = q * (1 - s)
        return s

    def shift(self, name: str, x: Array, previous: Array) -> Array:
        """Token shift."""
        mu = self.p[f"{name}.mu"]
        return mu * x + (1 - mu) * previous

    def remember(self, k: Array, v: Array) -> Array:
        """wkv without the running maximum: the sums as they are, e^pp times what the state holds."""
        aa, bb, pp = self.state[1:4]
        bonus, decay = self.p["time.time_first"], -np.exp(self.p["time.time_decay"])
        a, b = np.exp(pp) * aa, np.exp(pp) * bb
        wkv = (a + np.exp(bonus + k) * v) / (b + np.exp(bonus + k))
        self.state[3] = np.maximum(pp + decay, k)
        scale = np.exp(-self.state[3])
        self.state[1] = (np.exp(decay) * a + np.exp(k) * v) * scale
        self.state[2] = (np.exp(decay) * b + np.exp(k)) * scale
        return wkv

    def __call__(self, x: Array) -> Array:
        p, state = self.p, self.state
        x1, before = norm(x, p["norm_time.weight"], p["norm_time.bias"]), state[0]
        r, k, v = (
            self.lif(f"time.neuron_{letter}", self.shift(f"time.shift_{letter}", x1, before), position)
            @ p[f"time.W_{letter}.weight"].T
            for position, letter in enumerate("rkv", 4)
        )
        s = self.lif("time.neuron_o", logistic(r) * self.remember(k, v), 7)
        x = x + self.lif("time.neuron_out", s @ p["time.W_o.weight"].T, 8)
        x2, before = norm(x, p["norm_channel.weight"], p["norm_channel.bias"]), state[9]
        r, k = (
            self.lif(f"channel.neuron_{letter}", self.shift(f"channel.shift_{letter}", x2, before), position)
            @ p[f"channel.W_{letter}.weight"].T
            for position, letter in enumerate("rk", 10)
        )
        s = self.lif("channel.neuron_hidden", k, 12)
        state[0], state[9] = x1, x2
        return x + self.lif("channel.neuron_out", logistic(r) * (s @ p["channel.W_v.weight"].T), 13)


def equations(
    parameters: dict[str, Array], inputs: Sequence[Array], state: Sequence[Array]
) -> tuple[Array, list[Array]]:
    """One tick of the whole model."""
    x = norm(parameters["embedding.weight"][inputs[0]], parameters["norm_in.weight"], parameters["norm_in.bias"])
    layers = [Layer(parameters, index, state[14 * index : 14 * index + 14]) for index in range(CONFIG.layers)]
    for layer in layers:
        x = layer(x)
    logits = norm(x, parameters["norm.weight"], parameters["norm.bias"]) @ parameters["head.weight"].T
    return logits, [tensor for layer in layers for tensor in layer.state]


def test_a_tick_is_its_equations(model: SpikingRWKV) -> None:
    """Output and state of three streams over 50 ticks are those of a NumPy transcription."""
    assert_follows(model, equations, tokens(50, 3))


def test_it_compiles_and_fires(model: SpikingRWKV) -> None:
    """The compiled step passes the comparison with ONNX Runtime, all populations fire, and only the head is dense."""
    inputs = tokens(100, 1)
    bundle = compiled(model, inputs)
    with astroedge.load(bundle) as session:
        assert np.isfinite(session.run(token=inputs.numpy())["logits"]).all()
        rates = {name: count.firing_rate for name, count in session.activity().items()}
    assert len(rates) == 9 * CONFIG.layers
    assert_fires(rates)
    dense = [matrix.name for matrix in bundle.manifest.matrices if "not a spike tensor" in matrix.reason]
    assert len(bundle.manifest.matrices) == 7 * CONFIG.layers + 1
    assert len(dense) == 1


def test_an_impossible_size_is_refused() -> None:
    """No layers raise InputError."""
    with pytest.raises(InputError):
        SpikingRWKVConfig(layers=0)
