"""sinabs models: layers with one tick, and those that forget between calls."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from astroedge.errors import ExportError
from astroedge.exporters import export
from astroedge.exporters.wrapping.check_model import check_model

pytest.importorskip("sinabs", reason="sinabs is not installed")
from sinabs import layers
from sinabs.activation import SingleSpike

X = torch.tensor([[1.9, -0.4, 1.1, 0.6, 2.2, 0.3]])


def network() -> nn.Module:
    """Weights, spiking neurons, readout."""
    torch.manual_seed(0)
    neurons = layers.IAFSqueeze(batch_size=1, spike_fn=SingleSpike)
    return nn.Sequential(
        nn.Linear(6, 16), neurons, nn.Linear(16, 5), layers.ExpLeakSqueeze(tau_mem=8.0, batch_size=1)
    ).eval()


def test_potentials_are_found_and_statistics_are_not_told_of() -> None:
    """States are named after their layers; the firing rate that a layer keeps for its user is no state and no note."""
    graph = export(network(), X)
    assert [state.name for state in graph.spec.states] == ["1.v_mem", "3.v_mem"]
    assert graph.spec.source["framework"] == "sinabs"
    assert 0.01 < graph.spec.spikes[0].firing_rate < 0.6
    assert graph.notes == ()


@pytest.mark.parametrize("kind", [layers.LIFRecurrent, layers.IAFRecurrent, layers.ALIFRecurrent])
def test_recurrent_layers_are_refused(kind: type[nn.Module]) -> None:
    """Their spikes reach them in the same call only, so tick by tick the connection would be silently lost."""
    times = {} if kind is layers.IAFRecurrent else {"tau_mem": 8.0}
    times |= {"tau_adapt": 8.0} if kind is layers.ALIFRecurrent else {}
    model = nn.Sequential(kind(rec_connect=nn.Linear(6, 6), **times)).eval()
    plain = kind.__name__.removesuffix("Recurrent")
    with pytest.raises(ExportError, match=rf"Module '0' \({kind.__name__}\) forgets .*a plain {plain}\.$"):
        check_model(model)


def test_warm_model_is_noted() -> None:
    """A model that has stepped is exported from what it holds, with a note."""
    model = network()
    with torch.no_grad():
        model(X)
    graph = export(model, X)
    assert any("Module '1' (IAFSqueeze) starts from what it holds" in note for note in graph.notes)
    assert graph.initial_state()["1.v_mem"].any()
