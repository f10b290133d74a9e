"""One network, however it is compiled and called: the same bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from astroedge.bundle import Bundle
from astroedge.runtimes import load
from astroedge.step_graph import StepGraph
from astroedge.targets.target import resolve_target
from astroedge.workflows.compile_graph import runs_here
from tests import graphs
from tests.builds import assert_fires, build, hashes

TICKS = 400
LEVELS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")


def test_reference_case_fires(astrosnn: StepGraph, tokens: dict[str, np.ndarray], plain: Bundle) -> None:
    """The network of these tests has real weights and its neurons fire, so its state depends on every rounding."""
    with load(plain) as session:
        session.run(**tokens)
        assert_fires(session)
        memory = session.states["blocks.1.astro.H"]
    assert len(np.unique(memory)) > memory.size // 2


@pytest.mark.parametrize("kernels", ["event", "dense"])
def test_kernel_choice_changes_no_bit(
    astrosnn: StepGraph, tokens: dict[str, np.ndarray], plain: Bundle, kernels: str
) -> None:
    """Matrix products that skip silent inputs and those that do not add in the same order."""
    forced = build(astrosnn, kernels=kernels)
    chosen = {matrix.kernel for matrix in forced.manifest.matrices if matrix.spikes is not None}
    assert kernels == "dense" or "event" in chosen
    assert hashes(forced, tokens, ["y"]) == hashes(plain, tokens, ["y"])


def test_probes_change_no_bit(astrosnn: StepGraph, tokens: dict[str, np.ndarray], plain: Bundle) -> None:
    """A build that also shows spikes and margins has the state and outputs of the plain one, and they agree."""
    probed = build(astrosnn, probes=True)
    assert hashes(probed, tokens, ["y"]) == hashes(plain, tokens, ["y"])
    with load(probed) as session:
        seen = session.run(**tokens)
    for spike in astrosnn.spec.spikes:
        fired, margin = seen[f"spike.{spike.name}"], seen[f"margin.{spike.name}"]
        np.testing.assert_array_equal(fired != 0, margin >= 0, err_msg=spike.name)


def test_one_tick_at_a_time_is_a_run(tokens: dict[str, np.ndarray], plain: Bundle) -> None:
    """`astro_step` called for every tick gives what one `astro_run` over all of them gives."""
    with load(plain) as single, load(plain) as many:
        stepped = [single.step(token=token)["y"] for token in tokens["token"]]
        np.testing.assert_array_equal(np.stack(stepped), many.run(**tokens)["y"])
        np.testing.assert_array_equal(single.state, many.state)
        assert single.activity() == many.activity()


@pytest.mark.parametrize("level", LEVELS)
def test_instruction_sets_agree(astrosnn: StepGraph, tokens: dict[str, np.ndarray], plain: Bundle, level: str) -> None:
    """SSE, AVX2 and AVX-512 code give the bits of this machine's own code."""
    if not runs_here(resolve_target(level)):
        pytest.skip(f"this processor cannot run {level} code")
    assert hashes(build(astrosnn, level), tokens, ["y"]) == hashes(plain, tokens, ["y"])


@pytest.mark.parametrize(
    "make", [graphs.lif_layer, graphs.recurrent_net], ids=["spikes from outside", "spikes around the loop"]
)
def test_forced_kernels_agree_in_batches(make: Callable[..., StepGraph]) -> None:
    """With several streams at once, too, event-driven and dense products have the same bits."""
    graph = make(batch=3)
    inputs = graphs.random_inputs(graph, TICKS, seed=5)
    event, dense = (hashes(build(graph, kernels=kernels), inputs, ["y"]) for kernels in ("event", "dense"))
    assert event == dense
