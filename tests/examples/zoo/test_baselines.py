"""What networks of the zoo are compared with: each method tells apart what it can, and only that."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest
import torch

from tests.support.zoo_modules import zoo_module


@pytest.fixture(scope="module")
def baselines() -> Iterator[ModuleType]:
    """The file of baselines."""
    with zoo_module("frame.baselines") as module:
        yield module


def series(seed: int, by_order: bool) -> SimpleNamespace:
    """24 series of 20 to 30 ticks of two channels: a bump early or late in the first, or a channel that is higher."""
    draw = torch.Generator().manual_seed(seed)
    inputs, labels = [], torch.arange(24) % 2
    for label in labels.tolist():
        x = 0.1 * torch.randn((int(torch.randint(20, 31, (1,), generator=draw)), 2), generator=draw)
        if by_order:
            x[4:8, 0] += 1 if label else -1
            x[12:16, 0] -= 1 if label else -1
        else:
            x[:, 1] += label
        inputs.append(x)
    return SimpleNamespace(inputs=inputs, labels=labels)


def test_all_three_find_a_channel_that_is_higher(baselines: ModuleType) -> None:
    """Their names are a record's, the GRU's with its number of weights, and all are right."""
    found = baselines.usual_baselines(series(0, False), series(1, False), weights=106, updates=40, batch=12, rate=0.05)
    assert found == {"1-NN DTW": 1.0, "logistic regression on statistics": 1.0, "GRU of 106 weights": 1.0}


def test_statistics_forget_the_order_and_warping_does_not(baselines: ModuleType) -> None:
    """A rise before a fall and a fall before a rise have the same statistics and are far apart when warped."""
    training, held_out = series(0, True), series(1, True)
    assert baselines.nearest_by_warping(training, held_out) == 1.0
    assert baselines.regression_on_statistics(training, held_out) < 0.8


@pytest.mark.parametrize("weights", [1, 92, 5_000, 20_000])
def test_the_gru_is_as_near_in_size_as_it_can_be(baselines: ModuleType, weights: int) -> None:
    """No GRU of one unit more or fewer has a number of weights nearer to the one asked for; its count is torch's."""
    hidden = baselines.gru_width(6, 4, weights)
    gru, head = torch.nn.GRU(6, hidden), torch.nn.Linear(hidden, 4)
    assert baselines.gru_weights(6, hidden, 4) == sum(p.numel() for part in (gru, head) for p in part.parameters())
    off = {units: abs(baselines.gru_weights(6, units, 4) - weights) for units in range(max(1, hidden - 1), hidden + 2)}
    assert off[hidden] == min(off.values())


def test_what_lies_after_the_end_of_a_series_does_not_count(baselines: ModuleType) -> None:
    """Beside a longer series, a series has the scores that it has alone."""
    torch.manual_seed(0)
    model, zero, one = baselines._GRU(2, 3, 2), torch.zeros(2), torch.ones(2)
    both = SimpleNamespace(inputs=[torch.randn(5, 2), torch.randn(9, 2)])
    alone = SimpleNamespace(inputs=both.inputs[:1])
    with torch.no_grad():
        torch.testing.assert_close(
            model(*baselines._padded(both, zero, one))[:1], model(*baselines._padded(alone, zero, one))
        )
