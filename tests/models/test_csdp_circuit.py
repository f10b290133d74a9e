"""The CSDP circuit: its equations, the same spikes compiled, and the edges of its cells."""

from __future__ import annotations

import pytest
import torch

from astroedge.models import CSDPCircuit
from astroedge.models.csdp_circuit import CSDPCells
from tests.support.csdp_equations import equations
from tests.support.stepping import assert_compiled_equals_torch, assert_follows, spike_inputs


@pytest.fixture
def model() -> CSDPCircuit:
    """Three layers, so that one has neighbours on both sides; upper ones hear few spikes and need strong synapses."""
    torch.manual_seed(6)
    model = CSDPCircuit((24, 40, 32, 28, 5))
    with torch.no_grad():
        for synapses in (*model.W[1:], *model.C):
            synapses.weight *= 12
    return model


def test_a_tick_is_its_equations(model: CSDPCircuit) -> None:
    """Spikes and state of three streams over 80 ticks are those of a NumPy transcription, each neuron with its τ_m."""
    for cells in model.cells:
        cells.leak.mul_(0.5 + torch.rand(cells.leak.shape, generator=torch.Generator().manual_seed(2)))
    assert_follows(model, equations, spike_inputs(0.3, 80, 3, 24))


def test_compiled_it_gives_the_same_spikes(model: CSDPCircuit) -> None:
    """With weights on a grid, 120 ticks of the compiled step equal PyTorch's bit for bit, and every layer fires."""
    assert_compiled_equals_torch(model, spike_inputs(0.3, 120, 1, 24))


def test_inhibition_is_hollow_and_never_excites(model: CSDPCircuit) -> None:
    """The lateral matrices have a zero diagonal and no negative weight."""
    for lateral in model.M:
        assert lateral.weight.diagonal().abs().max() == 0
        assert lateral.weight.min() == 0


def test_spikes_reach_the_next_layer_a_tick_later(model: CSDPCircuit) -> None:
    """In the tick in which inputs come no membrane moves; in the next that of the first layer does, and no other."""
    _, *state = model(torch.ones(1, 24), *model.initial_state(1))
    assert all(state[place].abs().max() == 0 for place in (1, 4, 7, 10))
    _, *state = model(torch.zeros(1, 24), *state)
    assert [state[place].abs().max() > 0 for place in (1, 4, 7, 10)] == [True, False, False, False]


def test_a_membrane_on_its_threshold_is_silent_and_thresholds_stop() -> None:
    """Only above its threshold a cell fires and is reset; a silent layer sinks by ρ_b a tick, down to 0.025."""
    cells, thr = CSDPCells(3), torch.tensor([[0.5, 0.5, 0.0255]])
    v, s, thr = cells(torch.tensor([[0.5, 0.75, 0.0]]), torch.tensor([[0.5, 0.75, 0.0]]), thr)
    assert s.tolist() == [[0, 1, 0]]
    assert v.tolist() == [[0.5, 0, 0]]
    _, _, thr = cells(torch.zeros(1, 3), torch.zeros(1, 3), thr)
    torch.testing.assert_close(thr, torch.tensor([[0.499, 0.499, 0.025]]))
