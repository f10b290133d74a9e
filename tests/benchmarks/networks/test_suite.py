"""The networks of the suite: sizes, inputs, and a subject that is the same every time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import astroedge
from astroedge.models import AstroSNN, AstroSNNStep
from benchmarks.networks.subjects import make_subject
from benchmarks.networks.suite import SUITE

MILLIONS = {
    "lif-tiny": 0.003,
    "alif-shd": 1.16,
    "spiking-rwkv-25m": 24.7,
    "gru-keywords": 0.63,
    "nmnist-conv": 0.02,
    "astrosnn-demo": 0.86,
    "astrosnn-1m": 0.86,
    "astrosnn-5m": 4.8,
    "astrosnn-25m": 24.7,
}


@pytest.mark.parametrize("name", SUITE)
def test_a_network_has_its_size_and_takes_its_inputs(name: str) -> None:
    """Every network has the weights its name promises, and one tick of it takes what is drawn for it."""
    model = SUITE[name].build().eval()
    weights = sum(parameter.numel() for parameter in model.parameters())
    assert weights / 1e6 == pytest.approx(MILLIONS[name], rel=0.1)
    inputs = SUITE[name].draw(np.random.default_rng(0), 3, 2, 0.25)
    step = AstroSNNStep(model) if isinstance(model, AstroSNN) else model
    with torch.inference_mode():
        output, *state = step(*(torch.from_numpy(values[0]) for values in inputs.values()), *step.initial_state(2))
    assert output.shape[0] == 2
    assert len(state) == len(step.state_names())


def test_drawn_spikes_fire_at_the_rate() -> None:
    """Inputs that are spikes are 0 and 1 at the rate asked for."""
    x = SUITE["alif-shd"].draw(np.random.default_rng(0), 50, 2, 0.3)["x"]
    assert set(np.unique(x)) == {0.0, 1.0}
    assert x.mean() == pytest.approx(0.3, abs=0.01)


def test_a_subject_is_the_same_every_time_and_fires_at_its_rate() -> None:
    """Calibrated and exported twice, a network has one digest; timed, it fires as asked for."""
    first, second = (make_subject("lif-tiny", 0.2, ticks=300) for _ in range(2))
    assert first.graph.digest == second.graph.digest
    assert all(np.array_equal(first.inputs[name], second.inputs[name]) for name in first.inputs)
    assert not np.array_equal(first.inputs["x"][:200], first.examples["x"])
    with astroedge.load(astroedge.compile(first.graph)) as session:
        session.run(**first.inputs)
        rates = [count.firing_rate for count in session.activity().values()]
    assert rates == pytest.approx([0.2] * len(rates), abs=0.03)
