"""The recurrent ALIF network: its equations, and the same spikes compiled."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from astroedge.models import ALIFNetwork
from tests.support.stepping import Array, assert_compiled_equals_torch, assert_follows, spike_inputs, walk

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


def test_it_learns_through_spikes_and_no_neuron_comes_to_excite_itself(model: ALIFNetwork) -> None:
    """In training the ticks are the same, every parameter has a derivative, and a step leaves the diagonal zero."""
    inputs = spike_inputs(0.2, 20, 2, 30)
    expected = walk(model.eval(), [inputs])
    optimiser = torch.optim.AdamW(model.train().parameters(), lr=0.01)
    state, outputs = model.initial_state(2), []
    for tick, x in enumerate(inputs):
        output, *state = model(x, *state)
        outputs.append(output)
        for value, number in zip((output, *state), expected[tick], strict=True):
            np.testing.assert_array_equal(value.detach().numpy(), number)
    torch.stack(outputs).square().sum().backward()
    assert [name for name, value in model.named_parameters() if not value.grad.any()] == []
    before = model.layers[1].W_rec.weight.detach().clone()
    optimiser.step()
    assert not torch.equal(model.layers[1].W_rec.weight, before)
    assert all(layer.W_rec.weight.diagonal().abs().max() == 0 for layer in model.layers)


def test_the_derivative_of_a_spike_is_the_published_triangle() -> None:
    """At v' = (v − ϑ) / ϑ it is 0.3 max(0, 1 − |v'|) of v', and both v and ϑ move v'."""
    model = ALIFNetwork((1, 1, 1)).train()
    b = torch.full((1, 1), 0.5, requires_grad=True)
    rho, threshold = math.exp(-1 / 200), 0.01 + 1.6 * math.exp(-1 / 200) * 0.5
    for share in (-0.2, 0.4, 0.999, 1.7, 2.5):
        v = torch.full((1, 1), share * threshold, requires_grad=True)
        fired = model.layers[0](torch.zeros(1, 1), v, torch.zeros(1, 1), b)[1]
        assert fired.item() == float(share > 1)
        d_v, d_b = torch.autograd.grad(fired.sum(), (v, b))
        slope = 0.3 * max(0.0, 1 - abs(share - 1)) / threshold
        assert d_v.item() == pytest.approx(slope, rel=1e-5)
        assert d_b.item() == pytest.approx(-slope * share * 1.6 * rho, rel=1e-5)


def test_raw_numbers_are_standardised_in_the_step() -> None:
    """With `standardise`, raw numbers give what standardised ones give without."""
    torch.manual_seed(1)
    raw, plain = ALIFNetwork((3, 8, 2), standardise=True), ALIFNetwork((3, 8, 2))
    plain.load_state_dict({k: v for k, v in raw.state_dict().items() if not k.startswith("standardise")})
    x = 5 + 3 * torch.randn((40, 1, 3), generator=torch.Generator().manual_seed(2))
    raw.standardise.fit(x)
    with torch.no_grad():
        standard = raw.standardise(x)
    for one, other in zip(walk(raw.eval(), [x]), walk(plain.eval(), [standard]), strict=True):
        for value, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(value, same)
