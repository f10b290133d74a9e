"""SpikingJelly models: single-step modules, its layers, and the settings that are not one tick."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from astroedge.errors import ExportError
from astroedge.exporters import export
from astroedge.exporters.frameworks import checking_calls
from astroedge.exporters.wrapping.check_model import check_model
from tests.support.builds import build
from tests.support.graphs import step_through

pytest.importorskip("spikingjelly", reason="SpikingJelly is not installed")
from spikingjelly.activation_based import functional, layer, neuron

X = torch.tensor([[1.9, -0.4, 1.1, 0.6, 2.2, 0.3]])


def network() -> nn.Module:
    """Weights, neurons with soft reset, dropout, readout."""
    torch.manual_seed(0)
    neurons = neuron.LIFNode(tau=2.0, v_threshold=0.4, v_reset=None)
    return nn.Sequential(layer.Linear(6, 16), neurons, layer.Dropout(0.5), layer.Linear(16, 5)).eval()


def test_soft_reset_behind_dropout() -> None:
    """A potential is named after its module, and dropout in evaluation mode leaves nothing in the step."""
    graph = export(network(), X)
    assert [state.name for state in graph.spec.states] == ["1.v"]
    assert 0.01 < graph.spec.spikes[0].firing_rate < 0.6
    assert graph.spec.source["framework"] == "spikingjelly"
    assert graph.notes == ()


def test_image_layers() -> None:
    """Convolution, batch norm, pooling and flatten of the framework carry neurons between them."""
    torch.manual_seed(0)
    model = nn.Sequential(
        layer.Conv2d(1, 2, 3, padding=1),
        layer.BatchNorm2d(2),
        neuron.IFNode(v_threshold=0.5),
        layer.MaxPool2d(2, 2),
        layer.Flatten(),
        layer.Linear(8, 3),
        neuron.ParametricLIFNode(v_threshold=0.3),
    ).eval()
    graph = export(model, torch.linspace(-1, 2, 16).reshape(1, 1, 4, 4))
    assert [state.name for state in graph.spec.states] == ["2.v", "6.v"]


def recording(model: nn.Module) -> None:
    """Every potential kept."""
    model[1].store_v_seq = True


def other_backend(model: nn.Module) -> None:
    """Kernels of another library, as versions before 2.0 have them, without needing it."""
    model[1].backend = "cupy"


def training(model: nn.Module) -> None:
    """Dropout at work."""
    model[2].train()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (recording, r"Module '1' \(LIFNode\) has store_v_seq on.*store_v_seq = False"),
        (other_backend, r"Module '1' \(LIFNode\) computes with backend 'cupy'.*set_backend\(net, 'torch'\)"),
        (training, r"Module '2' \(Dropout\) is in training mode; call model\.eval\(\)"),
    ],
)
def test_settings_that_are_not_one_tick_are_refused(setting: Callable[[nn.Module], None], message: str) -> None:
    """Each is one line that names the module and the call that sets it right."""
    model = network()
    setting(model)
    with pytest.raises(ExportError, match=message):
        check_model(model)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (layer.DropConnectLinear(6, 8), "DropConnectLinear draws random numbers.*1 - p times its weight"),
        (layer.Delay(2), r"Delay fills its queue .*torch.zeros\(…\)\] \* 2"),
        (neuron.SlidingPSN(k=3), r"SlidingPSN fills its queue .*torch.zeros\(…\)\] \* 3, flattened"),
    ],
)
def test_modules_that_are_no_step_are_refused(module: nn.Module, message: str) -> None:
    """Modules for sequences, random ones and a queue that grows are named, each with what to put in its place."""
    with pytest.raises(ExportError, match=message):
        check_model(module.eval())


def network_over_time(middle: nn.Module) -> nn.Module:
    """Weights and neurons in multi-step mode around `middle`."""
    torch.manual_seed(0)
    first, last = neuron.LIFNode(v_threshold=0.2, v_reset=None), neuron.IFNode(v_threshold=0.5)
    model = nn.Sequential(layer.Linear(6, 16), first, middle, last).eval()
    functional.set_step_mode(model, "m")
    return model


def test_multi_step_network_called_with_one_tick_is_a_step() -> None:
    """Stepped from its state tick by tick, the graph gives what one call over all the ticks gives."""
    inner = layer.SeqToANNContainer(nn.Linear(16, 16), nn.BatchNorm1d(16))
    model = network_over_time(layer.MultiStepContainer(inner[0], neuron.IFNode(v_threshold=0.3)))
    model.append(layer.SeqToANNContainer(nn.Linear(16, 5), nn.BatchNorm1d(5)).eval())
    graph = export(model, X[None], input_names=["x"])
    assert [state.name for state in graph.spec.states] == ["1.v", "2.1.v", "3.v"]
    ticks = torch.rand(12, 1, 6, generator=torch.Generator().manual_seed(3)) * 3
    with torch.no_grad():
        wanted = model(ticks)
    given = {"x": ticks[:, None].numpy()}
    results, _ = step_through(graph, given)
    np.testing.assert_allclose(results["y"][:, 0], wanted.numpy(), rtol=1e-5, atol=1e-5)
    assert wanted.std() > 0


def test_several_ticks_in_one_call_are_refused() -> None:
    """Four ticks at once are no step; both ways out are named."""
    with pytest.raises(ExportError, match=r"Module '0' \(Linear\) .*with 4 ticks at once.*set_step_mode.*T = 1"):
        export(network_over_time(neuron.IFNode()), X.expand(4, 1, 6))


@pytest.mark.parametrize(
    "module",
    [neuron.PSN(T=1), neuron.NonSpikingLIFNode()],
    ids=lambda module: type(module).__name__,
)
def test_module_that_mixes_ticks_is_refused(module: nn.Module) -> None:
    """Called tick by tick it would compute something else than what it was trained as, so it is named."""
    model = network_over_time(module)
    message = rf"'2' \({type(module).__name__}\) does something else with ticks"
    with pytest.raises(ExportError, match=message), checking_calls(model):
        model(X[None])


def test_module_with_weights_for_each_tick_is_refused() -> None:
    """It fails on one tick, and says so before its own error of shapes does."""
    model = network_over_time(neuron.GatedLIFNode(T=4))
    message = r"'2' \(GatedLIFNode\) fails on one tick, an input of shape \[1, 1, 16\] .*weights for each tick"
    with pytest.raises(ExportError, match=message), checking_calls(model):
        model(X[None])


def test_filled_delay_is_exported() -> None:
    """A queue filled with zeros, as the refusal says, does what the growing one does."""
    delay = layer.Delay(3)
    growing, filled = layer.Delay(3), nn.Sequential(network()[0], network()[1], delay).eval()
    delay.queue[:] = [torch.zeros(1, 16)] * 3
    graph = export(filled, X)
    assert [state.name for state in graph.spec.states] == ["1.v", *(f"2.queue.{place}" for place in range(3))]
    for tick in range(5):
        value = torch.full((1, 16), float(tick))
        assert torch.equal(growing(value), delay(value))


def test_filled_sliding_neuron_is_exported() -> None:
    """Zeros in the queue of a sliding neuron, as the refusal says, are what it has not seen yet."""
    torch.manual_seed(0)
    growing, filled = neuron.SlidingPSN(k=3), neuron.SlidingPSN(k=3)
    filled.queue[:] = [torch.zeros(16)] * 3
    graph = export(nn.Sequential(layer.Linear(6, 16), filled).eval(), X)
    assert [state.name for state in graph.spec.states] == [f"1.queue.{place}" for place in (1, 2)]
    ticks = 3 * torch.rand(6, 1, 16)
    spikes = [(growing(value), filled(value)) for value in ticks]
    assert all(torch.equal(one, other) for one, other in spikes)
    assert 0 < sum(one.mean().item() for one, _ in spikes) < len(spikes)


def test_layer_that_wants_an_axis_of_ticks_says_so() -> None:
    """Its own error for an input without that axis is a bare assertion; ours names the axis and how to get it."""
    model = nn.Sequential(
        layer.Conv2d(1, 2, 3), layer.ThresholdDependentBatchNorm2d(alpha=1.0, v_th=1.0, num_features=2), neuron.IFNode()
    ).eval()
    message = r"'1' \(ThresholdDependentBatchNorm2d\) takes an axis of ticks .* given \[1, 2, 2, 2\] .*'m'\)"
    with pytest.raises(ExportError, match=message):
        export(model, torch.rand(1, 1, 4, 4))


def test_synapse_and_feedback_keep_their_state() -> None:
    """A synapse's current and what containers feed back are states beside the potentials."""
    torch.manual_seed(0)
    feedback = layer.ElementWiseRecurrentContainer(neuron.LIFNode(v_threshold=0.4), lambda y, x: x - 0.25 * y)
    mixing = layer.LinearRecurrentContainer(neuron.IFNode(), 8, 8)
    graph = export(nn.Sequential(layer.Linear(6, 8), feedback, mixing, layer.SynapseFilter(tau=8.0)).eval(), X)
    assert {state.name for state in graph.spec.states} == {
        *("1.y", "1.sub_module.v", "2.y", "2.sub_module.v"),
        "3.out_i",
    }
    assert any(0.01 < spikes.firing_rate < 0.6 for spikes in graph.spec.spikes)


def test_warm_model_is_noted() -> None:
    """A model that has stepped is exported from what it holds, with a note; after reset_net there is none."""
    model = network()
    with torch.no_grad():
        model(X)
    graph = export(model, X)
    assert any("Module '1' (LIFNode) starts from what it holds" in note for note in graph.notes)
    assert graph.initial_state()["1.v"].any()
    functional.reset_net(model)
    assert export(model, X).notes == ()


def test_matrices_behind_neurons_read_spikes() -> None:
    """A single step ends in a view and a choice from it; what lies behind is read by its active elements still."""
    torch.manual_seed(0)
    layers = [
        nn.Linear(64, 512),
        neuron.IFNode(v_reset=None),
        nn.Linear(512, 512),
        neuron.LIFNode(),
        nn.Linear(512, 10),
    ]
    ticks = [((torch.rand(1, 64) < 0.3).float() * 4,) for _ in range(20)]
    graph = export(nn.Sequential(*layers).eval(), ticks[0], examples=ticks)
    matrices = {matrix.name: matrix for matrix in build(graph).manifest.matrices}
    read = [(matrices[name].spikes or "").partition(" ")[0] for name in ("2", "4")]
    assert read == ["1.spike", "3.spike"]
    assert matrices["2"].kernel == "event"
