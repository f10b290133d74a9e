"""Neurons that differ: time constants and thresholds of their own in LIF, ALIF and AstroSNN."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from astroedge.models import ALIFNetwork, AstroSNN, AstroSNNConfig, LIFNetwork
from astroedge.models.alif_network import ALIF
from astroedge.models.lif import LIF
from tests.support.stepping import assert_compiled_equals_torch, spike_inputs


def lif_network() -> LIFNetwork:
    """A hidden layer whose decays lie between a half and one, and whose thresholds differ."""
    torch.manual_seed(0)
    model = LIFNetwork((30, 48, 6))
    model.neurons[0] = LIF(torch.linspace(0.5, 1, 48), torch.linspace(0.25, 1.5, 48))
    return model


def alif_network() -> ALIFNetwork:
    """A hidden layer that forgets within 5 to 50 ticks and tires for 50 to 500."""
    torch.manual_seed(2)
    model = ALIFNetwork((30, 48, 6))
    model.layers[0] = ALIF(
        30, 48, tau=torch.linspace(5, 50, 48), tau_adaptation=torch.linspace(50, 500, 48), beta=torch.linspace(0, 3, 48)
    )
    return model


@pytest.mark.compiles
@pytest.mark.parametrize("make", [lif_network, alif_network])
def test_compiled_they_differ_as_in_torch(make: type[nn.Module]) -> None:
    """With weights on a grid the compiled step of neurons that differ equals PyTorch's bit for bit."""
    assert_compiled_equals_torch(make(), spike_inputs(0.2, 100, 1, 30))


def test_a_constant_for_all_is_the_same_for_each() -> None:
    """A tensor of equal time constants gives the ticks of the number, to rounding, and a checkpoint holds it."""
    torch.manual_seed(0)
    one, each = ALIF(8, 12), ALIF(8, 12, tau=torch.full((12,), 20.0), threshold=torch.full((12,), 0.01))
    each.load_state_dict(one.state_dict(), strict=False)
    v, z, b = torch.randn(3, 12), (torch.rand(3, 12) < 0.3).float(), torch.rand(3, 12) / 10
    for left, right in zip(one(torch.ones(3, 8), v, z, b), each(torch.ones(3, 8), v, z, b), strict=True):
        assert torch.allclose(left, right, atol=1e-6)
    assert {"alpha", "gain", "threshold"} <= set(each.state_dict())


def test_thresholds_of_an_astrosnn_learn() -> None:
    """Every threshold has a derivative in training, and a sequence gives the spikes of its steps."""
    torch.manual_seed(0)
    config = AstroSNNConfig(17, 12, 2, 16, layers=1, dropout=0.0, own_thresholds=True)
    model = AstroSNN(config).double()
    thetas = {name: tensor for name, tensor in model.named_parameters() if "theta" in name}
    assert {tuple(tensor.shape) for tensor in thetas.values()} == {(12,), (16,)}
    with torch.no_grad():
        for tensor in thetas.values():
            tensor *= torch.linspace(0.6, 1.4, len(tensor))
    tokens = torch.randint(0, 17, (2, 30))
    logits, _ = model(tokens)
    logits.square().sum().backward()
    assert {name for name, tensor in thetas.items() if tensor.grad is None or not tensor.grad.any()} == set()
    state, stepped = model.initial_state(2), []
    for token in tokens.t():
        output, *state = model.step(token, *state)
        stepped.append(output)
    assert torch.allclose(torch.stack(stepped, 1), logits, atol=1e-9)
