"""The recurrent ALIF network: its equations, and the same spikes compiled."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from astroedge.models import ALIFNetwork
from tests.support.stepping import Array, assert_compiled_equals_torch, assert_follows, spike_inputs

ALPHA, RHO = math.exp(-1 / 20), math.exp(-1 / 200)


@pytest.fixture
def model() -> ALIFNetwork:
    """Two layers with random weights; their first spikes come at threshold 0.01, before they adapt."""
    torch.manual_seed(2)
    return ALIFNetwork((30, 48, 40, 6))


def equations(
    parameters: dict[str, Array], inputs: Sequence[Array], state: Sequence[Array]
) -> tuple[Array, list[Array]]:
    """One tick as the module's docstring has it."""
    (x,) = inputs
    following: list[Array] = []
    for layer in (0, 1):
        v, z, b = state[3 * layer : 3 * layer + 3]
        weights = {key: parameters[f"layers.{layer}.{key}"] for key in ("W_in.weight", "W_in.bias", "W_rec.weight")}
        b = RHO * b + (1 - RHO) * z
        threshold = 0.01 + 1.6 * b
        current = x @ weights["W_in.weight"].T + weights["W_in.bias"] + z @ weights["W_rec.weight"].T
        fired = (v > threshold).astype(v.dtype)
        v = ALPHA * v + (1 - ALPHA) * current - threshold * z
        following += [v, fired, b]
        x = fired
    y = ALPHA * state[-1] + (1 - ALPHA) * (x @ parameters["readout.weight"].T + parameters["readout.bias"])
    return y, [*following, y]


def test_a_tick_is_its_equations(model: ALIFNetwork) -> None:
    """Output and state of three streams over 80 ticks are those of a NumPy transcription."""
    assert_follows(model, equations, spike_inputs(0.2, 80, 3, 30))


def test_compiled_it_gives_the_same_spikes(model: ALIFNetwork) -> None:
    """With weights on a grid, 120 ticks of the compiled step equal PyTorch's bit for bit, and every layer fires."""
    assert_compiled_equals_torch(model, spike_inputs(0.2, 120, 1, 30))


def test_no_neuron_excites_itself(model: ALIFNetwork) -> None:
    """The recurrent matrices have zero diagonals, and only those zeros."""
    for layer in model.layers:
        weight = layer.W_rec.weight
        assert weight.diagonal().abs().max() == 0
        assert (weight != 0).sum() == weight.numel() - len(weight)
