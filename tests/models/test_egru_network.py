"""The EGRU network: its equations, its events, and the compiled step beside PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

import astroedge
from astroedge.models import EGRUNetwork
from astroedge.models.egru_network import EGRU
from tests.support.stepping import Array, assert_fires, assert_follows, compiled, walk


@pytest.fixture
def model() -> EGRUNetwork:
    """Two small layers, their weights and thresholds such that events are rare but there."""
    torch.manual_seed(3)
    model = EGRUNetwork((10, 24, 20, 4))
    with torch.no_grad():
        for layer in model.layers:
            layer.W.weight *= 3
    return model


def features(ticks: int, streams: int) -> torch.Tensor:
    """Random features."""
    return torch.randn((ticks, streams, 10), generator=torch.Generator().manual_seed(4))


def equations(
    parameters: dict[str, Array], inputs: Sequence[Array], state: Sequence[Array]
) -> tuple[Array, list[Array]]:
    """One tick as the module's docstring has it."""
    (x,) = inputs
    following: list[Array] = []
    for layer in (0, 1):
        c, y = state[2 * layer : 2 * layer + 2]
        p = {key: parameters[f"layers.{layer}.{key}"] for key in ("W.weight", "W.bias", "R.weight", "R.bias")}
        given = np.split(x @ p["W.weight"].T + p["W.bias"], 3, axis=1)
        own = np.split(y @ p["R.weight"].T + p["R.bias"], 3, axis=1)
        z, r = (1 / (1 + np.exp(-given[gate] - own[gate])) for gate in (0, 1))
        c = z * c + (1 - z) * np.tanh(given[2] + r * own[2])
        threshold = parameters[f"layers.{layer}.threshold"]
        x = np.where(c > threshold, c, 0.0)
        following += [np.where(c > threshold, c - threshold, c), x]
    o = 0.9 * state[-1] + 0.1 * (x @ parameters["readout.weight"].T + parameters["readout.bias"])
    return o, [*following, o]


def test_a_tick_is_its_equations(model: EGRUNetwork) -> None:
    """Output and state of three streams over 60 ticks are those of a NumPy transcription."""
    assert_follows(model, equations, features(60, 3))


def test_compiled_it_reads_events_and_follows_torch(model: EGRUNetwork) -> None:
    """Of five matrices all but the first read graded events; 100 free ticks stay within 1e-5 of PyTorch."""
    inputs = features(100, 1)
    bundle = compiled(model, inputs)
    with astroedge.load(bundle) as session:
        given = session.run(x=inputs.numpy())["o"]
        assert_fires({name: count.firing_rate for name, count in session.activity().items()})
    expected = np.stack([output for output, *_ in walk(model, [inputs])])
    np.testing.assert_allclose(given, expected, atol=1e-5)
    dense = [matrix.name for matrix in bundle.manifest.matrices if "not a spike tensor" in matrix.reason]
    assert (len(bundle.manifest.matrices), dense) == (5, ["layers.0.W"])


def test_a_cell_on_its_threshold_is_silent() -> None:
    """A cell exactly on ϑ sends nothing and keeps itself; one above sends all of itself and loses ϑ."""
    layer = EGRU(1, 2).eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.threshold.fill_(0.25)
        c, y = layer(torch.zeros(1, 1), torch.tensor([[0.5, 1.0]]), torch.zeros(1, 2))
    assert y.tolist() == [[0.0, 0.5]]
    assert c.tolist() == [[0.25, 0.25]]


def test_it_learns_through_events(model: EGRUNetwork) -> None:
    """The same ticks in training, and after ten of them every parameter, thresholds included, has a derivative."""
    inputs = features(10, 2)
    expected = walk(model.eval(), [inputs])
    state = model.train().initial_state(2)
    for tick, x in enumerate(inputs):
        output, *state = model(x, *state)
        np.testing.assert_array_equal(output.detach().numpy(), expected[tick][0])
    output.square().sum().backward()
    assert [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()] == []
