"""Products that read one list of spikes by short rows are one call, and the bits of the step are what they were."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import JOINED
from astroedge.models import AstroSNN, AstroSNNConfig, AstroSNNStep
from astroedge.runtimes import load
from astroedge.step.graph import StepGraph
from astroedge.targets.boards.target import resolve_target
from tests.support.builds import assert_fires, build, build_for_teams

WIDE = AstroSNNConfig(vocabulary=64, width=128, heads=4, feed_forward=256, layers=2)
NATIVE = resolve_target("native")
FAR = replace(NATIVE, l1_bytes=4096, l2_bytes=4096)
"""A processor whose near caches hold none of these weights: it reads rows."""


@cache
def graph() -> StepGraph:
    """A network whose matrices of one list are of whole chunks of columns."""
    torch.manual_seed(5)
    model = AstroSNNStep(AstroSNN(WIDE)).eval()
    examples = [(torch.randint(0, 64, (1,)),) for _ in range(64)]
    return astroedge.export(model, examples[0], model.initial_state(1), name="wide", examples=examples)


def results(bundle: Bundle, threads: int) -> tuple[bytes, bytes]:
    """Outputs and state of 200 ticks."""
    tokens = np.random.default_rng(0).integers(0, 64, (200, 1))
    with load(bundle, threads=threads) as session:
        given = session.run(token=tokens)
        assert_fires(session)
        return b"".join(array.tobytes() for array in given.values()), session.state.tobytes()


@pytest.mark.parametrize("precision", ["float32", "int8", "int4"])
def test_joining_changes_no_bit(precision: str) -> None:
    """By rows from memory, on one thread and three, the step gives what it gives by tiles from a cache."""
    far = build_for_teams(graph(), FAR, precision=precision)
    modules = [kernel.module for kernel in far.manifest.kernels]
    joined = [module.split(JOINED) for module in modules if JOINED in module]
    assert [[name.rpartition(".")[2] for name in names] for names in joined] == 2 * [["W_q", "W_k", "W_v", "W_x"]]
    expected = results(build(graph(), NATIVE, precision=precision), 1)
    for threads in (1, 3):
        assert results(far, threads) == expected
