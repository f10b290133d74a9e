"""The network of diverse neurons: its equations, what of it adapts, and the compiled step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

import astroedge
from astroedge.models import DiverseNetwork
from astroedge.models.diverse_neurons import DiverseNeurons
from tests.support.stepping import Array, assert_follows, compiled, walk


@pytest.fixture
def model() -> DiverseNetwork:
    """Three small layers."""
    torch.manual_seed(5)
    return DiverseNetwork((6, 14, 3))


def senses(ticks: int, streams: int) -> torch.Tensor:
    """Random numbers that the network senses."""
    return torch.randn((ticks, streams, 6), generator=torch.Generator().manual_seed(4))


def equations(p: dict[str, Array], inputs: Sequence[Array], state: Sequence[Array]) -> tuple[Array, list[Array]]:
    """One tick, a neuron's whole matrix at a time, the row that nobody reads included."""
    (x,) = inputs
    following = []
    for layer, h in enumerate(state):
        x = x if layer == 0 else x @ p[f"weights.{layer - 1}"]
        three = np.stack([x, np.ones_like(x), h])
        x, _, h = np.tanh(np.einsum("ijn,jbn->ibn", p[f"layers.{layer}.P"], three))
        following.append(h)
    return x, following


def test_a_tick_is_its_equations(model: DiverseNetwork) -> None:
    """Output and state of three streams over 40 ticks are those of a NumPy transcription."""
    assert_follows(model, equations, senses(40, 3))


def test_compiled_it_follows_torch(model: DiverseNetwork) -> None:
    """Over 100 free ticks the compiled step stays within 1e-5 of PyTorch: |∂h/∂h| < 1 lets errors fade."""
    inputs = senses(100, 1)
    with astroedge.load(compiled(model, inputs)) as session:
        given = session.run(x=inputs.numpy())["actions"]
    expected = np.stack([output for output, *_ in walk(model, [inputs])])
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(given, expected, atol=1e-5)


def test_neurons_with_one_input_answer_by_their_own_matrices() -> None:
    """A neuron that only passes its input, one that only has a bias and one that only remembers, side by side."""
    layer = DiverseNeurons(3)
    with torch.no_grad():
        layer.P.zero_()
        layer.P[0, 0, 0] = layer.P[0, 1, 1] = layer.P[0, 2, 2] = layer.P[2, 2, 2] = 1.0
        y, h = layer(torch.full((1, 3), 0.5), torch.full((1, 3), 0.25))
    torch.testing.assert_close(y, torch.tensor([[0.5, 1.0, 0.25]]).tanh())
    torch.testing.assert_close(h, torch.tensor([[0.0, 0.0, 0.25]]).tanh())


def test_only_the_matrices_of_neurons_adapt(model: DiverseNetwork) -> None:
    """P is drawn from −1 to 1 and has derivatives in the two rows that are read; weights between layers have none."""
    state = model.initial_state(2)
    for x in senses(5, 2):
        actions, *state = model(x, *state)
    actions.square().sum().backward()
    assert [name for name, value in model.named_parameters() if value.requires_grad] == [
        f"layers.{layer}.P" for layer in range(3)
    ]
    for layer in model.layers:
        assert layer.P.abs().max() <= 1
        assert [bool(row.any()) for row in layer.P.grad] == [True, False, True]
