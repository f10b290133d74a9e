"""The network with learnt time constants: both forms, its missing diagonal, and the compiled step."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
import torch

import astroedge
from astroedge.models import LearntTauRNN
from tests.support.stepping import Array, assert_follows, compiled, spike_inputs, walk


def small(outside: bool) -> LearntTauRNN:
    """Twelve units, one of which would have a time constant below a tick, and three heads."""
    torch.manual_seed(9)
    model = LearntTauRNN(2, 12, 3, outside=outside, stretch=1.5)
    with torch.no_grad():
        model.tau[0] = 0.25
        model.tau[1:] += torch.arange(11.0)
    return model


def equations(
    p: dict[str, Array], inputs: Sequence[Array], state: Sequence[Array], outside: bool
) -> tuple[Array, list[Array]]:
    """One tick as the module's docstring has it."""
    (x,), (h,) = inputs, state
    tau = 1.5 * np.maximum(p["tau"], 1)
    W = p["W.weight"] - np.diag(np.diag(p["W.weight"]))
    current = h @ W.T + p["W.bias"] + x @ p["W_in.weight"].T + p["W_in.bias"]
    if outside:
        h = (1 - 1 / tau) * h + np.where(current < 0, 0.01 * current, current) / tau
    else:
        h = (1 - 1 / tau) * h + current / tau
        h = np.where(h < 0, 0.01 * h, h)
    return (h @ p["V.weight"].T + p["V.bias"]).reshape(-1, 3, 2), [h]


@pytest.mark.parametrize("outside", [False, True])
def test_a_tick_is_its_equations(outside: bool) -> None:
    """Output and state of three streams over 60 ticks are those of a NumPy transcription, the diagonal of W aside."""
    assert_follows(small(outside), partial(equations, outside=outside), spike_inputs(0.5, 60, 3, 2))


@pytest.mark.parametrize("outside", [False, True])
def test_compiled_it_follows_torch(outside: bool) -> None:
    """100 free ticks of the compiled step stay within 1e-5 of PyTorch."""
    model, inputs = small(outside).eval(), spike_inputs(0.5, 100, 1, 2)
    with astroedge.load(compiled(model, inputs)) as session:
        given = session.run(x=inputs.numpy())["scores"]
    expected = np.stack([output for output, *_ in walk(model, [inputs])])
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(given, expected, atol=1e-5)


def test_no_unit_reads_itself_even_after_training() -> None:
    """Whatever the diagonal of W holds, a tick is the same, and no derivative reaches it."""
    model, x, h = small(False), torch.ones(1, 2), torch.linspace(0, 1, 12)[None]
    scores, _ = model(x, h)
    scores.square().sum().backward()
    gradient = model.W.weight.grad
    assert gradient is not None
    assert not gradient.diagonal().any()
    assert gradient.any()
    with torch.no_grad():
        model.W.weight.fill_diagonal_(5.0)
        torch.testing.assert_close(model(x, h)[0], scores.detach(), rtol=0, atol=0)


def test_it_learns_its_time_constants() -> None:
    """After ten ticks every τ above one tick has a derivative; that below is held there and has none."""
    model = small(True)
    state = model.initial_state(1)[0] + 0.05
    for x in spike_inputs(0.5, 10, 1, 2):
        scores, state = model(x, state)
    scores.square().sum().backward()
    assert model.tau.grad is not None
    assert (model.tau.grad != 0).tolist() == [False, *[True] * 11]
