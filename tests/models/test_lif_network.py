"""The LIF network: its equations, and the same spikes compiled."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from astroedge.models import LIFNetwork
from tests.support.stepping import Array, assert_compiled_equals_torch, assert_follows, spike_inputs

DECAY = 0.875


@pytest.fixture
def model() -> LIFNetwork:
    """Two hidden layers with weights strong enough to fire."""
    torch.manual_seed(1)
    model = LIFNetwork((12, 40, 24, 5), DECAY)
    with torch.no_grad():
        for linear in model.linears:
            linear.weight *= 2.5
    return model


def equations(
    parameters: dict[str, Array], inputs: Sequence[Array], state: Sequence[Array]
) -> tuple[Array, list[Array]]:
    """One tick as the module's docstring has it."""
    (s,) = inputs
    following = []
    for layer, v in enumerate(state[:-1]):
        v = DECAY * v + s @ parameters[f"linears.{layer}.weight"].T + parameters[f"linears.{layer}.bias"]
        s = (v >= parameters[f"neurons.{layer}.threshold"]).astype(v.dtype)
        following.append(v * (1 - s))
    y = DECAY * state[-1] + s @ parameters["linears.2.weight"].T + parameters["linears.2.bias"]
    return y, [*following, y]


def test_a_tick_is_its_equations(model: LIFNetwork) -> None:
    """Output and state of three streams over 60 ticks are those of a NumPy transcription."""
    assert_follows(model, equations, spike_inputs(0.4, 60, 3, 12))


def test_compiled_it_gives_the_same_spikes(model: LIFNetwork) -> None:
    """With weights on a grid, 100 ticks of the compiled step equal PyTorch's bit for bit, and every layer fires."""
    assert_compiled_equals_torch(model, spike_inputs(0.4, 100, 1, 12))


def test_a_neuron_fires_on_its_threshold_and_forgets() -> None:
    """A membrane that reaches the threshold exactly fires and is 0 afterwards; one just below is kept."""
    neurons = LIFNetwork().neurons[0]
    with torch.no_grad():
        s, v = neurons(torch.tensor([1.0, 0.999]), torch.zeros(2))
    assert s.tolist() == [1.0, 0.0]
    assert v.tolist() == [0.0, pytest.approx(0.999)]
