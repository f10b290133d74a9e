"""The GRU network: its equations, and the compiled step beside PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

import astroedge
from astroedge.models import GRUNetwork
from tests.support.equations import logistic
from tests.support.stepping import Array, assert_follows, compiled, walk


@pytest.fixture
def model() -> GRUNetwork:
    """Two small cells with random weights."""
    torch.manual_seed(3)
    return GRUNetwork((10, 24, 20, 4))


def features(ticks: int, streams: int) -> torch.Tensor:
    """Random features."""
    return torch.randn((ticks, streams, 10), generator=torch.Generator().manual_seed(4))


def equations(
    parameters: dict[str, Array], inputs: Sequence[Array], state: Sequence[Array]
) -> tuple[Array, list[Array]]:
    """One tick: `n = tanh(W_n x + b + r (U_n h + c))`, `h = (1 − z) n + z h`, gates r and z logistic."""
    (x,) = inputs
    following = []
    for layer, h in enumerate(state):
        key = f"cells.{layer}."
        given = np.split(x @ parameters[f"{key}weight_ih"].T + parameters[f"{key}bias_ih"], 3, axis=1)
        kept = np.split(h @ parameters[f"{key}weight_hh"].T + parameters[f"{key}bias_hh"], 3, axis=1)
        r, z = logistic(given[0] + kept[0]), logistic(given[1] + kept[1])
        x = (1 - z) * np.tanh(given[2] + r * kept[2]) + z * h
        following.append(x)
    return x @ parameters["head.weight"].T + parameters["head.bias"], following


def test_a_tick_is_its_equations(model: GRUNetwork) -> None:
    """Output and state of three streams over 40 ticks are those of a NumPy transcription."""
    assert_follows(model, equations, features(40, 3))


def test_compiled_it_follows_torch(model: GRUNetwork) -> None:
    """Over 100 free ticks the compiled step stays within 1e-5 of PyTorch: a GRU forgets its rounding errors."""
    inputs = features(100, 1)
    with astroedge.load(compiled(model, inputs)) as session:
        given = session.run(x=inputs.numpy())["scores"]
    expected = np.stack([output for output, *_ in walk(model, [inputs])])
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(given, expected, atol=1e-5)
