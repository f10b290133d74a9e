"""The network of rates: its equations, its limits, and the compiled step beside PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

import astroedge
from astroedge.models import RateRNN
from tests.support.stepping import Array, assert_follows, compiled, walk


def network() -> RateRNN:
    """Twenty units with time constants from one tick of 2 ms to 40 ms."""
    torch.manual_seed(5)
    model = RateRNN(3, 20, 2, dt=2.0)
    model.tau.copy_(torch.linspace(2.0, 40.0, 20))
    return model


def inputs(ticks: int, streams: int) -> torch.Tensor:
    """Normal numbers."""
    return torch.randn(ticks, streams, 3, generator=torch.Generator().manual_seed(5))


def equations(p: dict[str, Array], given: Sequence[Array], state: Sequence[Array]) -> tuple[Array, list[Array]]:
    """Euler's step of the differential equation, unit by unit's derivative."""
    (u,), (x,) = given, state
    derivative = (-x + np.tanh(x) @ p["J.weight"].T + u @ p["B.weight"].T) / p["tau"]
    x = x + 2.0 * derivative
    return np.tanh(x) @ p["W.weight"].T, [x]


def test_a_tick_is_its_equations() -> None:
    """Readout and state of three streams over 60 ticks are those of a NumPy transcription, each unit with its own τ."""
    assert_follows(network(), equations, inputs(60, 3))


def test_a_unit_as_fast_as_a_tick_forgets() -> None:
    """Where τ is one tick nothing of x is left: only what its inputs and the others' rates bring."""
    model, u, x = network().eval(), torch.ones(1, 3), torch.linspace(-3, 3, 20)[None]
    with torch.no_grad():
        model.J.weight.zero_()
        _, following = model(u, x)
        assert following[0, 0] == model.B(u)[0, 0]
        assert following[0, 1] != model.B(u)[0, 1]


@pytest.mark.parametrize(("gain", "lives"), [(0.5, False), (3.0, True)])
def test_strong_weights_keep_it_alive(gain: float, lives: bool) -> None:
    """Without inputs activity dies out where the gain is below 1, and goes on well above it."""
    torch.manual_seed(5)
    model, x, silence = RateRNN(1, 100, gain=gain).eval(), torch.randn(1, 100), torch.zeros(1, 1)
    with torch.no_grad():
        for _ in range(200):
            _, x = model(silence, x)
    assert bool(x.abs().mean() > 0.1) is lives


def test_it_learns_through_its_step() -> None:
    """A loss over ten ticks has derivatives in all three matrices."""
    model = network()
    (x,) = model.initial_state(1)
    for u in inputs(10, 1):
        z, x = model(u, x)
    z.square().sum().backward()
    assert all(parameter.grad is not None and bool(parameter.grad.any()) for parameter in model.parameters())


def test_compiled_it_follows_torch() -> None:
    """60 free ticks of the compiled step stay within 1e-5 of PyTorch."""
    model, given = network().eval(), inputs(60, 1)
    with astroedge.load(compiled(model, given)) as session:
        z = session.run(u=given.numpy())["z"]
    expected = np.stack([output for output, _ in walk(model, [given])])
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(z, expected, atol=1e-5)
