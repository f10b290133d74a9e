"""Spiking neural units of all kinds: their equations, and the same spikes compiled."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
import torch

import astroedge
from astroedge.errors import InputError
from astroedge.models import SNUNetwork
from astroedge.models.snu_network import KINDS, SNU
from tests.support.equations import logistic
from tests.support.stepping import (
    Array,
    assert_compiled_equals_torch,
    assert_fires,
    assert_follows,
    compiled,
    spike_inputs,
    walk,
)


def network(kind: str) -> SNUNetwork:
    """Two layers with weights strong enough to fire."""
    torch.manual_seed(4)
    model = SNUNetwork((12, 40, 24, 5), kind)
    with torch.no_grad():
        for layer in model.layers:
            layer.W.weight *= 6.0
    return model


def equations(
    parameters: dict[str, Array], inputs: Sequence[Array], state: Sequence[Array], kind: str
) -> tuple[Array, list[Array]]:
    """One tick as the module's docstring has it."""
    (x,) = inputs
    following: list[Array] = []
    for layer in (0, 1):
        p = {key.split(".", 2)[2]: value for key, value in parameters.items() if key.startswith(f"layers.{layer}.")}
        v, y, *drift = state[layer * len(state) // 2 : (layer + 1) * len(state) // 2]
        v = x @ p["W.weight"].T + y @ p["R.weight"].T + 0.8 * v * (1 - y)
        axon = x @ p["W_axon.weight"].T + y @ p["R_axon.weight"].T if "W_axon.weight" in p else 0.0
        if kind == "soft":
            y = logistic(v - p["b"])
        elif kind == "axo-somatic":
            drift = [0.9 * drift[0] + 0.1 * axon]
            y = (v + drift[0] > p["b"]).astype(v.dtype)
        else:
            y = (v > p["b"]) * (logistic(axon + p["W_axon.bias"]) if kind == "axo-axonic" else 1.0)
        following += [v, y, *drift]
        x = y
    return x @ parameters["readout.weight"].T + parameters["readout.bias"], following


@pytest.mark.parametrize("kind", KINDS)
def test_a_tick_is_its_equations(kind: str) -> None:
    """Output and state of three streams over 60 ticks are those of a NumPy transcription, for every kind."""
    assert_follows(network(kind), partial(equations, kind=kind), spike_inputs(0.3, 60, 3, 12))


def test_compiled_it_gives_the_same_spikes() -> None:
    """With weights on a grid, 120 ticks of the compiled base unit equal PyTorch's bit for bit, and it fires."""
    assert_compiled_equals_torch(network("base"), spike_inputs(0.3, 120, 1, 12))


def test_graded_outputs_are_read_as_events() -> None:
    """Of an axo-axonic unit every matrix reads spikes or graded events, and 100 ticks stay within 1e-5 of PyTorch."""
    model, inputs = network("axo-axonic"), spike_inputs(0.3, 100, 1, 12)
    bundle = compiled(model, inputs)
    with astroedge.load(bundle) as session:
        given = session.run(x=inputs.numpy())["scores"]
        assert_fires({name: count.firing_rate for name, count in session.activity().items()})
    np.testing.assert_allclose(given, np.stack([output for output, *_ in walk(model, [inputs])]), atol=1e-5)
    assert [matrix.name for matrix in bundle.manifest.matrices if "not a spike tensor" in matrix.reason] == []


def test_the_last_output_resets() -> None:
    """A unit exactly on its bias is silent; one that fired forgets its membrane a tick later."""
    unit = SNU(2, 2).eval()
    with torch.no_grad():
        unit.W.weight.copy_(torch.eye(2))
        unit.R.weight.zero_()
        v, y = unit(torch.tensor([[1.0, 2.0]]), torch.zeros(1, 2), torch.zeros(1, 2))
        later, _ = unit(torch.zeros(1, 2), v, y)
    assert y.tolist() == [[0.0, 1.0]]
    assert later.tolist() == [[pytest.approx(0.8), 0.0]]


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns(kind: str) -> None:
    """In training every parameter has a derivative after ten ticks."""
    model = network(kind).train()
    state = model.initial_state(2)
    for x in spike_inputs(0.3, 10, 2, 12):
        scores, *state = model(x, *state)
    scores.square().sum().backward()
    assert [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()] == []


def test_another_kind_is_refused() -> None:
    """A kind that does not exist raises InputError."""
    with pytest.raises(InputError):
        SNUNetwork(kind="lateral")
