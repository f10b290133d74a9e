"""Calibration gives every group of neurons the firing rate asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from astroedge.models import ALIFNetwork, AstroSNN, AstroSNNConfig, SpikingRWKV, SpikingRWKVConfig
from benchmarks.networks.calibrate import astrosnn_patient, calibrate, step_patient
from benchmarks.networks.subjects import one_thread

STREAMS = 16


@pytest.fixture(autouse=True)
def single() -> Iterator[None]:
    """PyTorch's threads cost more than they save at these sizes."""
    with one_thread():
        yield


def generator() -> torch.Generator:
    """A fixed source of inputs."""
    return torch.Generator().manual_seed(9)


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_every_population_of_a_step_model_fires_at_the_rate(rate: float) -> None:
    """The neurons of a small SpikingRWKV fire within a fifth of the rate, and nothing listens to them afterwards."""
    torch.manual_seed(0)
    model = SpikingRWKV(SpikingRWKVConfig(vocabulary=64, width=64, feed_forward=96, layers=1)).requires_grad_(False)
    source = generator()
    patient = step_patient(
        model, model.initial_state(STREAMS), lambda: (torch.randint(64, (STREAMS,), generator=source),)
    )
    reached = calibrate(patient, rate, chunks=60)
    assert len(reached) == 9
    assert {name: value for name, value in reached.items() if abs(value - rate) > 0.2 * rate} == {}
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_adapting_neurons_reach_a_high_rate() -> None:
    """ALIF neurons, whose thresholds rise as they fire, reach 40 % in both layers."""
    torch.manual_seed(0)
    model = ALIFNetwork((40, 64, 64, 4)).requires_grad_(False)
    source = generator()
    draw = lambda: ((torch.rand((STREAMS, 40), generator=source) < 0.4).float(),)  # noqa: E731
    reached = calibrate(step_patient(model, model.initial_state(STREAMS), draw), 0.4, chunks=120)
    assert set(reached) == {"layers.0", "layers.1"}
    assert all(0.35 < value < 0.45 for value in reached.values())


def test_an_astrosnn_is_calibrated_a_sequence_at_a_time() -> None:
    """All twelve groups of a small AstroSNN fire within a fifth of 10 %, twice with the same weights."""
    weights = []
    for _ in range(2):
        torch.manual_seed(0)
        config = AstroSNNConfig(64, 48, 3, 96, 2, longest_memory=16.0, dropout=0.0)
        model = AstroSNN(config).eval().requires_grad_(False)
        source = generator()
        patient = astrosnn_patient(
            model, STREAMS, lambda ticks, source=source: torch.randint(64, (STREAMS, ticks), generator=source)
        )
        reached = calibrate(patient, 0.1, chunks=50)
        assert len(reached) == 12
        assert {name: value for name, value in reached.items() if abs(value - 0.1) > 0.02} == {}
        weights.append([parameter.clone() for parameter in model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*weights, strict=True))
