"""The HMM-GLM filter: its equations without logarithms, and the compiled step beside PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from math import lgamma

import numpy as np
import torch

import astroedge
from astroedge.models import HMMGLM
from tests.support.stepping import Array, assert_follows, compiled, spike_inputs, walk

NEURONS, STATES, LAGS = 10, 3, 4


def network() -> HMMGLM:
    """Three states whose rates differ."""
    torch.manual_seed(6)
    return HMMGLM(NEURONS, STATES, LAGS, stay=0.9)


def equations(
    parameters: dict[str, Array], inputs: Sequence[Array], state: Sequence[Array]
) -> tuple[Array, list[Array]]:
    """One tick in probabilities: `α ← (α A) ⊙ Π_n p(y_n | λ_kn)`, normalised; y! included."""
    (y,) = inputs
    alpha, spikes = state
    rates = np.exp(spikes.reshape(len(y), -1) @ parameters["W.weight"].T + parameters["W.bias"])
    rates = rates.reshape(len(y), STATES, NEURONS)
    factorial = np.exp(np.vectorize(lgamma)(y + 1))[:, None]
    likelihood = (rates ** y[:, None] * np.exp(-rates) / factorial).prod(-1)
    transitions = np.exp(parameters["log_A"])
    joint = (np.exp(alpha) @ (transitions / transitions.sum(1, keepdims=True))) * likelihood
    alpha = np.log(joint / joint.sum(1, keepdims=True))
    return alpha, [alpha, np.concatenate([y[:, None], spikes[:, :-1]], axis=1)]


def test_a_tick_is_its_equations() -> None:
    """In logarithms, the filter of three streams over 60 ticks is that of probabilities in NumPy, counts included."""
    counts = spike_inputs(0.2, 60, 3, NEURONS)
    counts[::7] *= 3
    assert_follows(network(), equations, counts)


def test_compiled_it_follows_torch() -> None:
    """Over 200 free ticks the compiled filter stays within 1e-4 of PyTorch, its spike history is read event-driven."""
    model, inputs = network(), spike_inputs(0.1, 200, 1, NEURONS)
    bundle = compiled(model, inputs)
    with astroedge.load(bundle) as session:
        given = session.run(y=inputs.numpy())["log_probability"]
    expected = np.stack([output for output, *_ in walk(model, [inputs])])
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(given, expected, atol=1e-4)
    assert [matrix.name for matrix in bundle.manifest.matrices if "not a spike tensor" in matrix.reason] == []


def test_a_state_that_cannot_be_is_no_nan() -> None:
    """A likelihood far below the smallest float leaves finite logarithms whose exponentials sum to 1."""
    model = network().eval()
    with torch.no_grad():
        model.W.bias[:NEURONS] = 6.0
        alpha, *_ = model(torch.zeros(1, NEURONS), *model.initial_state(1))
    assert torch.isfinite(alpha).all()
    assert alpha[0, 0] < -1000
    torch.testing.assert_close(alpha.exp().sum(), torch.tensor(1.0))
