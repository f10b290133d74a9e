"""snnTorch models: state in buffers or in the caller's hands, every reset, and the cell that forgets."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.exporters import export
from astroedge.exporters.wrapping.check_model import check_model

snn = pytest.importorskip("snntorch", reason="snnTorch is not installed")
quant = pytest.importorskip("snntorch.functional.quant", reason="snnTorch is not installed")

X = torch.tensor([[1.9, -0.4, 1.1, 0.6, 2.2, 0.3]])


def network(neuron: nn.Module) -> nn.Module:
    """A layer of neurons behind weights of its own."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), neuron).eval()


@pytest.mark.parametrize(
    "options",
    [
        {"reset_mechanism": "subtract"},
        {"reset_mechanism": "zero", "reset_delay": False, "graded_spikes_factor": 2.0},
        {"reset_mechanism": "subtract", "reset_delay": False, "learn_beta": True, "learn_threshold": True},
    ],
    ids=["subtract", "zero at once, graded", "subtract at once, learnt"],
)
def test_resets_are_exported(options: dict[str, Any]) -> None:
    """Every reset, delayed or not, is exported with one state, and what the neuron only writes is no news."""
    graph = export(network(snn.Leaky(beta=0.9, init_hidden=True, **options)), X)
    assert [state.name for state in graph.spec.states] == ["1.mem"]
    assert not any("left out" in note for note in graph.notes)
    assert 0.01 < max(spikes.firing_rate for spikes in graph.spec.spikes) < 0.6


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_silent_reset_signal_is_no_news(reset: str) -> None:
    """A membrane reset at once is not above its threshold in the next tick; only a layer that is silent is noted."""
    neuron = snn.Leaky(beta=0.9, reset_mechanism=reset, reset_delay=False, init_hidden=True)
    graph = export(network(neuron), X)
    rates = {spikes.name: spikes.firing_rate for spikes in graph.spec.spikes}
    assert rates["1.mem.spike"] == 0.0 < rates["1.mem.spike_1"]
    assert graph.notes == ()
    silent = snn.Leaky(beta=0.9, threshold=100.0, reset_delay=False, init_hidden=True)
    (note,) = export(network(silent), X).notes
    assert "'1.mem.spike_1' never fired" in note


@pytest.mark.parametrize("decays", [{"beta": 0.9}, {"alpha": 0.5, "beta": 0.9}], ids=["Leaky", "Synaptic"])
def test_inhibition_and_quantised_state_are_exported(decays: dict[str, float]) -> None:
    """Only the largest membrane fires, and membranes take the levels given, by operators that a step can hold."""
    cell = snn.Synaptic if "alpha" in decays else snn.Leaky
    options = {"threshold": 0.25, "state_quant": quant.state_quant(num_bits=4, threshold=0.5), **decays}
    model = network(cell(inhibition=True, init_hidden=True, **options))
    examples = [(X * scale,) for scale in (0.5, -1.0, 1.0, 2.0)]
    graph = export(model, X, examples=examples)
    assert not {"ScatterND", "ScatterElements"} & {node.op_type for node in graph.model.graph.node}
    assert any(0.01 < spikes.firing_rate < 0.6 for spikes in graph.spec.spikes)


def test_model_keeps_its_settings() -> None:
    """The buffer that tracing cannot decide on is a buffer again after export."""
    model = network(snn.Leaky(beta=0.9, init_hidden=True, reset_delay=False))
    export(model, X)
    assert "1.reset_mechanism_val" in dict(model.named_buffers())


class Explicit(nn.Module):
    """One tick that takes and returns the membranes, as snnTorch's own examples write it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 8)
        self.lif1 = snn.Leaky(beta=0.9)
        self.lif2 = snn.Synaptic(alpha=0.8, beta=0.9)

    def forward(self, x: Tensor, mem1: Tensor, syn2: Tensor, mem2: Tensor) -> tuple[Tensor, ...]:
        spk, mem1 = self.lif1(self.fc(x), mem1)
        spk, syn2, mem2 = self.lif2(spk, syn2, mem2)
        return spk, mem1, syn2, mem2


def test_explicit_membranes_are_the_only_states() -> None:
    """A model that takes and returns its membranes has those states under its own names, and no notes."""
    torch.manual_seed(0)
    graph = export(Explicit().eval(), (X,), tuple(torch.zeros(1, 8) for _ in range(3)))
    assert [state.name for state in graph.spec.states] == ["mem1", "syn2", "mem2"]
    assert graph.notes == ()
    assert graph.spec.source["framework"] == "snntorch"


def test_slstm_of_one_width_carries_its_state() -> None:
    """An SLSTM as wide as its input keeps both its states."""
    graph = export(network(snn.SLSTM(8, 8, init_hidden=True, threshold=0.05)), X)
    assert [state.name for state in graph.spec.states] == ["1.syn", "1.mem"]


@pytest.mark.parametrize("init_hidden", [True, False])
def test_slstm_that_forgets_is_refused(init_hidden: bool) -> None:
    """An SLSTM of another width than its input's clears its state, which the message says, and is left as it was."""
    model = network(snn.SLSTM(8, 9, init_hidden=init_hidden))
    before = {name: value.shape for name, value in model.named_buffers()}
    with pytest.raises(ExportError, match=r"Module '1' \(SLSTM\) forgets .* input_size is 8, its hidden_size 9; put"):
        check_model(model)
    assert {name: value.shape for name, value in model.named_buffers()} == before


def test_sconv2dlstm_keeps_its_state() -> None:
    """The convolutional cell compares with its own shape, so that other channels than its input's are carried."""
    torch.manual_seed(0)
    model = snn.SConv2dLSTM(2, 3, 3, init_hidden=True, threshold=0.05).eval()
    graph = export(model, torch.linspace(-1, 2, 32).reshape(1, 2, 4, 4))
    assert [state.name for state in graph.spec.states] == ["syn", "mem"]


def test_warm_model_is_noted() -> None:
    """A neuron that has stepped is exported from what it holds, and the note names it and the cure."""
    model = network(snn.Leaky(beta=0.9, init_hidden=True))
    with torch.no_grad():
        model(X)
    graph = export(model, X)
    assert any("Module '1' (Leaky) starts from what it holds" in note and "reset_mem()" in note for note in graph.notes)
    assert graph.initial_state()["1.mem"].any()
