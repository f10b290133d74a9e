"""A small AstroSNN, exported once: real weights, every operator of the main model, all neurons firing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import astroedge
from astroedge.bundle import Bundle
from astroedge.models import AstroSNN, AstroSNNConfig
from astroedge.models.astrosnn import AstroSNNStep
from astroedge.step_graph import StepGraph
from tests.builds import build

VOCABULARY, TICKS = 64, 400


@pytest.fixture(scope="session")
def tokens() -> dict[str, np.ndarray]:
    """The input of `TICKS` ticks."""
    return {"token": np.random.default_rng(0).integers(0, VOCABULARY, (TICKS, 1))}


@pytest.fixture(scope="session")
def astrosnn(tokens: dict[str, np.ndarray]) -> StepGraph:
    """Two blocks with random weights; widths that are no multiple of a tile or a vector."""
    torch.manual_seed(0)
    config = AstroSNNConfig(vocabulary=VOCABULARY, width=72, heads=3, feed_forward=200, layers=2)
    step = AstroSNNStep(AstroSNN(config))
    token = torch.zeros(1, dtype=torch.int64)
    examples = [(torch.from_numpy(row),) for row in tokens["token"][:100]]
    return astroedge.export(step, (token,), step.initial_state(), output_names=["y"], examples=examples)


@pytest.fixture(scope="session")
def plain(astrosnn: StepGraph) -> Bundle:
    """That network compiled for this machine."""
    return build(astrosnn)
