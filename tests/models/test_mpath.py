"""MPATH: its equations, and what it does where the variance of a membrane is 0."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import astroedge
from astroedge.models import MPATHNetwork
from astroedge.models.mpath import MPATHLayer
from tests.support.mpath_equations import equations
from tests.support.stepping import assert_follows, spike_inputs


@pytest.fixture
def model() -> MPATHNetwork:
    """Two layers; the second reads graded activity."""
    torch.manual_seed(3)
    return MPATHNetwork((24, 40, 16))


def test_a_tick_is_its_equations(model: MPATHNetwork) -> None:
    """Activity and state of three streams over 80 ticks are those of a NumPy transcription."""
    assert_follows(model, equations, spike_inputs(0.3, 80, 3, 24))


def test_without_variance_above_the_mean_fires_and_at_the_mean_nothing_does() -> None:
    """With ν = 0 a membrane above its mean fires with ρ = 1, one below is silent, and 0 / 0 is silent too."""
    layer, zero = MPATHLayer(1, 3), torch.zeros(1, 3)
    with torch.no_grad():
        layer.W.weight.copy_(torch.tensor([[1.0], [-1.0], [0.0]]))
    V, mu, nu, a = layer(torch.ones(1, 1), zero, zero, zero, zero)
    assert a.tolist() == [[1.0, 0.0, 0.0]]
    assert V.tolist() == [[0.0, -1.0, 0.0]]
    assert torch.isfinite(torch.cat([mu, nu])).all()


def test_compiled_a_network_without_variance_wakes_up(model: MPATHNetwork) -> None:
    """From ν = 0 in both layers, two silent ticks leave finite zeros; three of spikes then give PyTorch's activity."""
    x = torch.cat([torch.zeros(2, 1, 24), spike_inputs(0.3, 3, 1, 24)])
    state = [torch.zeros_like(tensor) for tensor in model.eval().initial_state(1)]
    examples = [(spikes,) for spikes in spike_inputs(0.3, 30, 1, 24)]
    graph = astroedge.export(model, examples[0], tuple(state), examples=examples)
    with astroedge.load(astroedge.compile(graph)) as session:
        for tick, spikes in enumerate(x):
            session.step(x=spikes.numpy())
            with torch.no_grad():
                _, *state = model(spikes, *state)
            for name, expected in zip(model.state_names(), state, strict=True):
                found = session.states[name]
                np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5, err_msg=f"{name} at tick {tick}")
            assert all(tensor.any() == (tick > 1) for tensor in (state[0], state[3]))
