"""The network with delays: its two forms, and the convolutions in time that it was trained as."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from astroedge.errors import InputError
from astroedge.models import DelayNetwork
from tests.support.stepping import (
    Array,
    assert_compiled_equals_torch,
    assert_follows,
    put_on_grid,
    spike_inputs,
    walk,
)

WIDTHS, TAPS, TICKS = (12, 40, 24, 5), 7, 50
HALF = TAPS // 2


def network(form: str) -> DelayNetwork:
    """Three layers with weights strong enough to fire, and time constants from 1 tick to 4."""
    torch.manual_seed(2)
    model = DelayNetwork(WIDTHS, TAPS, form=form)
    with torch.no_grad():
        for layer, decay in zip(model.layers, model.decays, strict=True):
            layer.weight *= 3.0
            decay.copy_(torch.linspace(0.0, 0.75, len(decay)))
    return model


def inputs(streams: int, ticks: int = TICKS) -> tuple[Tensor, Tensor]:
    """Spikes of a presentation with its tail, and how long it has been over."""
    tail = 3 * HALF
    x = spike_inputs(0.2, ticks, streams, WIDTHS[0])
    after = (torch.arange(ticks + tail) - ticks + 1).clamp(min=0)
    return torch.cat([x, torch.zeros(tail, *x.shape[1:])]), after[:, None, None].expand(-1, streams, 1).float()


def equations(
    parameters: dict[str, Array], given: Sequence[Array], state: Sequence[Array]
) -> tuple[Array, list[Array]]:
    """One tick of the push form as the module's docstring has it, a synapse at a time."""
    x, after = given
    waiting, membranes = [line.copy() for line in state[:3]], []
    for layer in range(3):
        weight, bias, delay = (parameters[f"layers.{layer}.{key}"] for key in ("weight", "bias", "delay"))
        for i, j in np.ndindex(*weight.shape):
            waiting[layer][:, delay[i, j], i] += weight[i, j] * x[:, j]
        v = state[3 + layer] * parameters[f"decays.{layer}"] + waiting[layer][:, 0] + bias
        waiting[layer] = np.concatenate([waiting[layer][:, 1:], 0 * waiting[layer][:, :1]], axis=1)
        if layer < 2:
            x = np.where(after <= (layer + 1) * HALF, v >= 1, False).astype(v.dtype)
            v = np.where(v >= 1, 0.0, v)
        membranes.append(v)
    return membranes[-1], [*waiting, *membranes]


def test_a_tick_is_its_equations() -> None:
    """Output and state of three streams over a presentation and its tail are those of a NumPy transcription."""
    assert_follows(network("push"), equations, *inputs(3, 20))


@pytest.mark.parametrize("form", ["push", "ring"])
def test_compiled_it_gives_the_same_spikes(form: str) -> None:
    """With weights on a grid, both forms compiled equal PyTorch's bit for bit, and every layer fires."""
    x = spike_inputs(0.2, 100, 1, WIDTHS[0])
    assert_compiled_equals_torch(network(form), x, torch.zeros(100, 1, 1))


def test_both_forms_are_one_network() -> None:
    """With weights on a grid, waiting currents and a ring of inputs give the same membranes, bit for bit."""
    given = inputs(2)
    models = [network(form).eval() for form in ("push", "ring")]
    for model in models:
        put_on_grid(model)
    pushed, read = (walk(model, given) for model in models)
    for tick, (ours, others) in enumerate(zip(pushed, read, strict=True)):
        for value, expected in zip(ours[-3:], others[-3:], strict=True):
            np.testing.assert_array_equal(value, expected, err_msg=f"tick {tick}")


def trained(model: DelayNetwork) -> list[tuple[Tensor, Tensor, nn.BatchNorm1d]]:
    """Weights, positions and normalisations of three layers as DCLS learns them, taken over by `model`."""
    random = torch.Generator().manual_seed(5)
    learnt = []
    for layer in model.layers:
        outputs, inputs = layer.weight.shape
        norm = nn.BatchNorm1d(outputs).double().eval()
        for values in (norm.weight.data, norm.running_mean, norm.running_var):
            assert values is not None
            values.copy_(0.5 + torch.rand(outputs, generator=random))
        norm.bias.data.copy_(torch.rand(outputs, generator=random) - 0.3)
        weight = 1.5 * torch.randn(outputs, inputs, generator=random, dtype=torch.float64)
        position = (torch.rand(outputs, inputs, generator=random) - 0.5) * 2 * HALF
        layer.take(weight, position, norm)
        learnt.append((weight / (1 + 1e-7), position, norm))
    return learnt


def convolved(model: DelayNetwork, x: Tensor, learnt: Sequence[tuple[Tensor, Tensor, nn.BatchNorm1d]]) -> Tensor:
    """The trained form: a convolution in time, a normalisation and a membrane, a layer after the other, `(T, B, C)`."""
    for index, (weight, position, norm) in enumerate(learnt):
        tap = (position.round() + HALF).long()
        kernel = torch.zeros(*weight.shape, TAPS, dtype=torch.float64).scatter(2, tap[..., None], weight[..., None])
        padded = nn.functional.pad(x.permute(1, 2, 0), (TAPS - 1, HALF))
        current = norm(nn.functional.conv1d(padded, kernel)).permute(2, 0, 1)
        v, outputs = torch.zeros_like(current[0]), []
        for tick in current:
            v = v * model.decays[index].detach() + tick
            fired = (v >= 1).double()
            outputs.append(fired if index < len(learnt) - 1 else v)
            v = v * (1 - fired) if index < len(learnt) - 1 else v
        x = torch.stack(outputs)
    return x


@pytest.mark.parametrize("form", ["push", "ring"])
def test_it_is_the_convolution_that_was_trained(form: str) -> None:
    """Positions, normalisations and tails of a trained network: the readout of all T + 3 (K − 1)/2 ticks."""
    model = network(form).double().eval()
    learnt = trained(model)
    x, after = (tensor.double() for tensor in inputs(2))
    with torch.no_grad():
        expected = convolved(model, x[:TICKS], learnt).numpy()
    given = np.stack([output for output, *_ in walk(model, (x, after), torch.float64)])
    assert given.shape == expected.shape
    np.testing.assert_allclose(given, expected, atol=1e-9)


def test_other_forms_and_even_taps_are_refused() -> None:
    """A form that does not exist and taps without a middle raise InputError."""
    for options in ({"form": "roll"}, {"taps": 24}):
        with pytest.raises(InputError):
            DelayNetwork(WIDTHS, **options)
