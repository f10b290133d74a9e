"""NALSM: its equations, the edges of its neurons and what its synapses learn from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from astroedge.models import NALSM
from tests.support.nalsm_equations import equations
from tests.support.stepping import assert_follows, spike_inputs, walk

INPUTS, NEURONS = 24, 48


@pytest.fixture
def model() -> NALSM:
    """Twenty-four inputs and a reservoir of forty-eight neurons."""
    torch.manual_seed(4)
    return NALSM(INPUTS, (3, 4, 4))


def test_a_tick_is_its_equations(model: NALSM) -> None:
    """Spikes and state of three streams, weights of each included, are over 80 ticks those of a transcription."""
    drawn = torch.Generator().manual_seed(3)
    model.threshold += torch.rand(len(model.threshold), generator=drawn)
    model.set_synapses(1 + torch.rand(len(model.threshold), generator=drawn), reach=40)
    assert_follows(model, equations, spike_inputs(0.06, 80, 3, INPUTS))


def test_weights_keep_their_signs_and_bounds(model: NALSM) -> None:
    """After 100 busy ticks weights have moved, excite or inhibit as before, and none has grown where no synapse was."""
    *_, W, _, _, _, _ = (torch.from_numpy(values[-1]) for values in _stepped(model, spike_inputs(0.06, 100, 1, INPUTS)))
    moved = (W[0] - model.weight)[model.synapses] != 0
    assert moved.float().mean() > 0.05
    assert (W[0][~model.synapses] == 0).all()
    excites = model.exciting[INPUTS:, None].expand(NEURONS, NEURONS)
    assert (W[0, INPUTS:][excites] >= 0).all()
    assert (W[0, INPUTS:][~excites] <= 0).all()
    assert W.abs().max() == 3


def test_a_weight_changes_only_where_something_fired(model: NALSM) -> None:
    """One firing neuron changes what reaches it and what it gives, by η and by A, and nothing else."""
    state = model.initial_state(1)
    state[2].fill_(0.05)
    neuron = int((model.exciting[INPUTS:] & (model.synapses[INPUTS:].sum(1) > 0)).nonzero()[0])
    state[0][0, INPUTS + neuron] = 20.0
    state[4] = 0.5 * state[4]
    before = state[4][0].clone()
    change = model(torch.zeros(1, INPUTS), *state)[5][0] - before
    expected = torch.zeros_like(before)
    expected[:, neuron] = torch.where(model.exciting, 0.15, -0.15) * 0.05
    expected[INPUTS + neuron] -= 0.15 * 0.05
    torch.testing.assert_close(change, expected * model.synapses)


def test_neurons_fire_on_the_threshold_and_rest_two_ticks(model: NALSM) -> None:
    """A membrane of exactly 20 fires; an input that is kicked at every tick fires at every third."""
    state = model.initial_state(1)
    state[0][0, INPUTS:] = torch.where(torch.arange(NEURONS) < 2, 20.0, float(np.nextafter(np.float32(20), 0)))
    assert model(torch.zeros(1, INPUTS), *state)[0][0].nonzero().flatten().tolist() == [0, 1]
    ages = _stepped(model, torch.ones(10, 1, INPUTS))[4][:, 0, 0]
    assert np.flatnonzero(ages == 1).tolist() == [1, 4, 7]


def test_the_astrocyte_follows_activity(model: NALSM) -> None:
    """Where inputs alone fire A sinks below what it is in silence, which is its decay towards a decaying b_a."""
    quiet = _stepped(model, torch.zeros(5, 1, INPUTS))[7][:, 0, 0]
    np.testing.assert_allclose(quiet, 0.15 * 0.99 ** np.arange(1, 6), rtol=1e-5)
    assert _stepped(model, torch.ones(2, 1, INPUTS))[7][1, 0, 0] < quiet[1]


def test_a_spike_drives_for_as_long_as_it_reaches(model: NALSM) -> None:
    """What a spike of age k gives is e^(−k/τ) / τ up to `reach`, then exactly 0; ages stop at 100."""
    model.set_synapses(torch.full((INPUTS + NEURONS,), 2.0), reach=30)
    ages = np.arange(101)
    expected = np.where(ages < 30, np.exp(-ages / 2.0) / 2.0, 0.0)
    np.testing.assert_allclose(model.kernel.reshape(-1, 101)[5].numpy(), expected, rtol=1e-6)
    assert _stepped(model, torch.zeros(90, 1, INPUTS))[4].max() == 100


def _stepped(model: NALSM, x: Tensor) -> list[np.ndarray]:
    """Output and state of every tick."""
    return [np.stack(values) for values in zip(*walk(model, [x]), strict=True)]
