"""Probes, and forced kernels in batches, change no bit; what else must not is in test_reduction_order.py."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from astroedge.bundle import Bundle
from astroedge.runtimes import load
from astroedge.step_graph import StepGraph
from tests import graphs
from tests.builds import assert_fires, build, hashes

TICKS = 400


def test_reference_case_fires(astrosnn: StepGraph, tokens: dict[str, np.ndarray], plain: Bundle) -> None:
    """The network of these tests has real weights and its neurons fire, so its state depends on every rounding."""
    with load(plain) as session:
        session.run(**tokens)
        assert_fires(session)
        memory = session.states["blocks.1.astro.H"]
    assert len(np.unique(memory)) > memory.size // 2


def test_probes_change_no_bit(astrosnn: StepGraph, tokens: dict[str, np.ndarray], plain: Bundle) -> None:
    """A build that also shows spikes and margins has the state and outputs of the plain one, and they agree."""
    probed = build(astrosnn, probes=True)
    assert hashes(probed, tokens, ["y"]) == hashes(plain, tokens, ["y"])
    with load(probed) as session:
        seen = session.run(**tokens)
    for spike in astrosnn.spec.spikes:
        fired, margin = seen[f"spike.{spike.name}"], seen[f"margin.{spike.name}"]
        np.testing.assert_array_equal(fired != 0, margin >= 0, err_msg=spike.name)


@pytest.mark.parametrize(
    "make", [graphs.lif_layer, graphs.recurrent_net], ids=["spikes from outside", "spikes around the loop"]
)
def test_forced_kernels_agree_in_batches(make: Callable[..., StepGraph]) -> None:
    """With several streams at once, too, event-driven and dense products have the same bits."""
    graph = make(batch=3)
    inputs = graphs.random_inputs(graph, TICKS, seed=5)
    event, dense = (hashes(build(graph, kernels=kernels), inputs, ["y"]) for kernels in ("event", "dense"))
    assert event == dense
