"""The first layer for raw numbers: what it takes from data and what it does."""

from __future__ import annotations

import torch

from astroedge.models import Standardise


def test_it_brings_training_data_to_mean_0_and_deviation_1() -> None:
    """Over all ticks of all series, each channel by itself; nothing of it learns."""
    layer, data = Standardise(3), torch.randn(40, 7, 3) * torch.tensor([1.0, 30.0, 0.02]) + torch.tensor([0.0, 5.0, -2])
    assert torch.equal(layer(data), data)
    layer.fit(data)
    after = layer(data).reshape(-1, 3).double()
    torch.testing.assert_close(after.mean(0), torch.zeros(3, dtype=torch.float64), atol=1e-5, rtol=0)
    torch.testing.assert_close(after.std(0, correction=0), torch.ones(3, dtype=torch.float64), atol=1e-5, rtol=0)
    assert list(layer.parameters()) == []
    assert set(layer.state_dict()) == {"mean", "scale"}


def test_a_channel_that_never_moves_keeps_its_scale() -> None:
    """A constant channel becomes 0 instead of dividing by nothing."""
    layer = Standardise(2)
    layer.fit(torch.tensor([[1.0, 4.0], [3.0, 4.0]]))
    assert layer(torch.tensor([[2.0, 4.0]])).tolist() == [[0.0, 0.0]]
    assert layer.scale.tolist() == [1.0, 1.0]
