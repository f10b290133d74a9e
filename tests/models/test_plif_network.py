"""The PLIF network: its equations in all four forms, and the same spikes compiled."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
import torch

from astroedge.errors import InputError
from astroedge.models import PLIFNetwork
from astroedge.models.plif_network import PLIF
from tests.support.stepping import Array, assert_compiled_equals_torch, assert_follows, spike_inputs

FORMS = [(decay_input, subtract) for decay_input in (True, False) for subtract in (True, False)]


def network(decay_input: bool, subtract: bool, *, own: bool = True) -> PLIFNetwork:
    """Two layers with weights strong enough to fire, and time constants of 1.3 to 9 ticks where each has its own."""
    torch.manual_seed(1)
    model = PLIFNetwork((12, 40, 3), one_tau_per_neuron=own, decay_input=decay_input, subtract_reset=subtract)
    with torch.no_grad():
        for linear, neurons in zip(model.linears, model.neurons, strict=True):
            linear.weight *= 6.0 if decay_input else 3.0
            if own:
                neurons.w.copy_(torch.linspace(-2.0, 1.0, len(neurons.w)))
    return model


def equations(
    parameters: dict[str, Array], inputs: Sequence[Array], state: Sequence[Array], *, decay_input: bool, subtract: bool
) -> tuple[Array, list[Array]]:
    """One tick as the module's docstring has it."""
    (s,) = inputs
    following = []
    for layer, v in enumerate(state):
        current = s @ parameters[f"linears.{layer}.weight"].T + parameters[f"linears.{layer}.bias"]
        k = 1 / (1 + np.exp(-parameters[f"neurons.{layer}.w"]))
        v = v + k * (current - v) if decay_input else v * (1 - k) + current
        s = (v >= 1).astype(v.dtype)
        following.append(v - s if subtract else np.where(s > 0, 0.0, v))
    return s.reshape(len(s), 3, 10).mean(-1), following


@pytest.mark.parametrize(("decay_input", "subtract"), FORMS)
def test_a_tick_is_its_equations(decay_input: bool, subtract: bool) -> None:
    """With and without the decay of inputs, for both resets, 60 ticks of three streams are those of NumPy."""
    expected = partial(equations, decay_input=decay_input, subtract=subtract)
    assert_follows(network(decay_input, subtract), expected, spike_inputs(0.4, 60, 3, 12))


@pytest.mark.parametrize(("decay_input", "subtract"), [(True, False), (False, True)])
def test_compiled_it_gives_the_same_spikes(decay_input: bool, subtract: bool) -> None:
    """On a grid, with τ = 2, 120 ticks of the compiled step equal PyTorch's bit for bit, and every layer fires."""
    assert_compiled_equals_torch(network(decay_input, subtract, own=False), spike_inputs(0.4, 120, 1, 12))


def test_a_neuron_fires_on_its_threshold() -> None:
    """A membrane exactly on the threshold fires, one just below is kept; a subtracting reset leaves the rest."""
    current, v = torch.tensor([2.0, 1.999, 4.0]), torch.zeros(3)
    with torch.no_grad():
        s, hard = PLIF().eval()(current, v)
        _, soft = PLIF(subtract_reset=True).eval()(current, v)
    assert s.tolist() == [1.0, 0.0, 1.0]
    assert hard.tolist() == [0.0, pytest.approx(0.9995), 0.0]
    assert soft.tolist() == [0.0, pytest.approx(0.9995), 1.0]


def test_time_constants_learn() -> None:
    """In training every parameter, time constants included, has a derivative after ten ticks."""
    model = network(True, False).train()
    state = model.initial_state(2)
    for x in spike_inputs(0.4, 10, 2, 12):
        votes, *state = model(x, *state)
    votes.square().sum().backward()
    assert [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()] == []


def test_an_impossible_time_constant_is_refused() -> None:
    """A τ of one tick, for which w would be infinite, raises InputError."""
    with pytest.raises(InputError):
        PLIF(1.0)
