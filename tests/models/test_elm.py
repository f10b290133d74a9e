"""The ELM neuron: its equations in both versions, its wiring and time constants, and the compiled step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

import astroedge
from astroedge.errors import InputError
from astroedge.models import ELM
from tests.support.stepping import Array, assert_follows, compiled, spike_inputs, walk

TABLE = torch.tensor([0, 3, 1, 7, -1, 2, 2, 5, 6, 4, -1, 1])
VERSIONS = [(1, "relu"), (2, "silu")]


def small(version: int, activation: str) -> ELM:
    """Three branches of four synapses, two without an input and one with a negative weight, in bins of 2 ms."""
    torch.manual_seed(6)
    sizes: dict[str, Any] = {"memories": 9, "branches": 3, "synapses": 4, "dt": 2.0, "learn_tau": True}
    model = ELM(8, 2, version=version, activation=activation, table=TABLE, **sizes)
    with torch.no_grad():
        model.w.copy_(torch.linspace(-0.2, 1.5, 12))
    return model


def equations(
    p: dict[str, Array], inputs: Sequence[Array], state: Sequence[Array], version: int, activation: Callable[..., Array]
) -> tuple[Array, list[Array]]:
    """One tick as the module's docstring has it."""
    (x,), (dendrite, m) = inputs, state
    tau = 1 + 149 / (1 + np.exp(-p["tau"]))
    synapses = np.maximum(p["w"], 0) * np.where(TABLE.numpy() < 0, 0, x[:, TABLE.numpy()])
    if version == 1:
        dendrite = np.exp(-2 / p["tau_s"]) * dendrite + synapses
        b, written = dendrite.reshape(-1, 3, 4).sum(-1), 5 * (1 - np.exp(-2 / tau))
    else:
        b = dendrite = np.exp(-2 / p["tau_s"]) * dendrite + synapses.reshape(-1, 3, 4).sum(-1)
        written = 1 - np.exp(-5 * 2 / tau)
    kept = np.exp(-2 / tau) * m
    hidden = activation(np.hstack([b, kept]) @ p["hidden.weight"].T + p["hidden.bias"])
    m = kept + written * 1.7159 * np.tanh(2 / 3 * (hidden @ p["proposal.weight"].T + p["proposal.bias"]))
    return m @ p["readout.weight"].T + p["readout.bias"], [dendrite, m]


ACTIVATIONS: dict[str, Callable[..., Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
}


@pytest.mark.parametrize(("version", "activation"), VERSIONS)
def test_a_tick_is_its_equations(version: int, activation: str) -> None:
    """Output and state of three streams over 60 ticks are those of a NumPy transcription."""
    told = partial(equations, version=version, activation=ACTIVATIONS[activation])
    assert_follows(small(version, activation), told, spike_inputs(0.2, 60, 3, 8))


@pytest.mark.parametrize(("version", "activation"), VERSIONS)
def test_compiled_it_follows_torch_and_computes_no_time_constant(version: int, activation: str) -> None:
    """100 free ticks of the compiled step stay within 1e-5 of PyTorch, and its graph has no exponential left."""
    model, inputs = small(version, activation).eval(), spike_inputs(0.2, 100, 1, 8)
    bundle = compiled(model, inputs)
    with astroedge.load(bundle) as session:
        given = session.run(x=inputs.numpy())["y"]
    expected = np.stack([output for output, *_ in walk(model, [inputs])])
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(given, expected, atol=1e-5)


def test_time_constants_span_their_bounds() -> None:
    """τ_m grow from one bound to the other by their logarithms, within a thousandth of the span."""
    tau = ELM(4, 2, memories=5, branches=2, synapses=2, tau_m=(1.0, 1000.0)).tau_m().detach().numpy()
    np.testing.assert_allclose(tau, np.logspace(0, 3, 5), atol=1.0)


def test_sizes_and_forms_are_the_published_ones() -> None:
    """The default has 4500 synapses on 45 branches and 100 memories; an unknown version is refused by name."""
    model = ELM()
    assert [state.shape[1] for state in model.initial_state()] == [45, 100]
    assert len(model.table) == 4500
    with pytest.raises(InputError, match="no ELM of version 3"):
        ELM(version=3)


def test_it_learns_its_time_constants() -> None:
    """After ten ticks every parameter has a derivative, τ_m's too; synapses held at zero by ReLU have none."""
    model, state = small(2, "silu"), small(2, "silu").initial_state(2)
    for x in spike_inputs(0.5, 10, 2, 8):
        output, *state = model(x, *state)
    output.square().sum().backward()
    assert [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()] == []
    assert model.w.grad is not None
    assert not model.w.grad[0].any()
