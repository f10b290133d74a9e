"""AstroSNN on numbers: its step, its sequence form, and the compiled step on raw numbers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import astroedge
from astroedge.models import AstroSNNSensors
from tests.support.stepping import assert_fires, compiled, walk


@pytest.fixture
def model() -> AstroSNNSensors:
    """A small network with random weights that expects numbers around 3."""
    torch.manual_seed(5)
    model = AstroSNNSensors(3, 5, width=24, heads=3, feed_forward=40, layers=2)
    model.standardise.fit(readings(200, 4))
    return model.eval()


def readings(ticks: int, batch: int) -> Tensor:
    """Raw numbers `(ticks, batch, 3)`."""
    return 3 + 2 * torch.randn((ticks, batch, 3), generator=torch.Generator().manual_seed(6))


def test_a_tick_is_blocks_between_two_matrices(model: AstroSNNSensors) -> None:
    """Scores are the head's of the blocks' x, which starts as the standardised numbers times the first matrix."""
    x, network = readings(1, 2)[0], model.network
    state = [torch.randn_like(tensor) for tensor in model.initial_state(2)]
    with torch.no_grad():
        found = model(x, *state)
        inner = ((x - model.standardise.mean) * model.standardise.scale) @ network.embedding.weight.T
        inner, following = inner + network.embedding.bias, []
        for block, (begin, end) in zip(network.blocks, pairwise((0, 5, 10)), strict=True):
            inner, *new = block.step(inner, *state[begin:end])
            following += new
        scores = F.layer_norm(inner, (24,), network.norm.weight, network.norm.bias) @ network.head.weight.T
    torch.testing.assert_close(found[0], scores + network.head.bias)
    torch.testing.assert_close(list(found[1:]), following)


def test_a_sequence_equals_stepping(model: AstroSNNSensors) -> None:
    """In double precision the training form gives the scores and states of 80 ticks."""
    x = readings(80, 3).double()
    expected = walk(model.double(), [x], torch.float64)
    with torch.no_grad():
        scores, state = model.sequence(x.transpose(0, 1))
    np.testing.assert_allclose(scores.transpose(0, 1), np.stack([tick[0] for tick in expected]), rtol=1e-9, atol=1e-9)
    for value, last in zip(state, expected[-1][1:], strict=True):
        np.testing.assert_allclose(value, last, rtol=1e-9, atol=1e-9)


def test_every_parameter_learns(model: AstroSNNSensors) -> None:
    """The gradient reaches every parameter through a sequence."""
    scores, _ = model.train().sequence(readings(60, 3).transpose(0, 1))
    F.cross_entropy(scores.mean(1), torch.tensor([0, 3, 4])).backward()
    assert [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()] == []


def test_compiled_it_reads_raw_numbers_and_fires(model: AstroSNNSensors) -> None:
    """The compiled step follows PyTorch over 100 ticks, and every spike tensor fires."""
    x = readings(100, 1)
    expected = walk(model, [x])
    bundle = compiled(model, x)
    with astroedge.load(bundle) as session:
        for tick, values in enumerate(expected):
            np.testing.assert_allclose(session.step(x=x[tick].numpy())["scores"], values[0], rtol=1e-4, atol=1e-4)
        assert_fires({name: count.firing_rate for name, count in session.activity().items()})
