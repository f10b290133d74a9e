"""NALSM with a readout: scores from counts of spikes, and raw numbers that drive the input neurons."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from astroedge.models import NALSMClassifier
from tests.support.stepping import walk

INPUTS, TICKS = 24, 40


@pytest.fixture
def model() -> NALSMClassifier:
    """Forty-eight neurons, three classes, and a gain by which the number 16 drives an input by 8 a tick."""
    torch.manual_seed(4)
    return NALSMClassifier(INPUTS, 3, (3, 4, 4), gain=0.005).eval()


def test_scores_are_the_readout_of_counts(model: NALSMClassifier) -> None:
    """After 40 ticks o is the readout's matrix times how often each neuron of the reservoir alone has fired."""
    x = torch.linspace(0, 16, 2 * INPUTS).reshape(1, 2, INPUTS).repeat(TICKS, 1, 1)
    walked, alone = walk(model, [x]), walk(model.reservoir, [model.gain * x])
    counts = np.sum([spikes for spikes, *_ in alone], axis=0)
    assert (counts > 0).mean() > 0.25
    with torch.no_grad():
        expected = model.readout(torch.from_numpy(counts)).numpy()
    np.testing.assert_allclose(walked[-1][0], expected, atol=1e-5)
    np.testing.assert_array_equal(walked[-1][-1], walked[-1][0])
    assert len(model.state_names()) == len(walked[-1]) - 1


def test_inputs_fire_as_often_as_they_are_strong(model: NALSMClassifier) -> None:
    """Driven by 0, 2, 4, 8 and by 500 a tick, an input fires never, then ever more often, every third tick at most."""
    x = torch.zeros(TICKS, 1, INPUTS)
    x[..., :5] = torch.tensor([0.0, 4.0, 8.0, 16.0, 1000.0])
    ages = np.stack([state[3][0, :5] for _, *state in walk(model, [x])])
    assert (ages == 1).sum(0).tolist() == [0, 3, 6, 13, 13]
