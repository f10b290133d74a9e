from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.errors import VerificationError
from astroedge.runtimes.checking.verify import verify as verify_session
from astroedge.step.graph import StepGraph
from astroedge.targets import compile_step, link_bundle, quantise
from astroedge.targets.boards.target import resolve_target
from astroedge.workflows.verify_bundle import examine
from tests.conftest import Compiled
from tests.support.builds import build
from tests.support.bundles import edited
from tests.support.graphs import random_inputs

Build = Callable[[str], Compiled]


@pytest.fixture
def made(compiled: Build) -> Compiled:
    """Two recurrent layers, compiled."""
    return compiled("recurrent_net")


def relabelled(made: Compiled, name: str, math: str) -> Bundle:
    """A build for this machine that calls its target otherwise, with the golden trace of the plain one."""
    golden = Bundle.load(made.bundle).manifest.golden
    target = replace(resolve_target("native"), name=name)
    step = compile_step(StepGraph.load(made.graph), target, math=math, kernels="auto", probes=False)
    return link_bundle(step, target, golden)


def test_report_says_what_agreed(made: Compiled) -> None:
    """Every spike was compared through a probe build, and a running session goes on as if nothing had happened."""
    graph = StepGraph.load(made.graph)
    inputs = random_inputs(graph, 60)
    with astroedge.load(made.bundle) as session, astroedge.load(made.bundle) as undisturbed:
        session.run(x=inputs["x"][:20])
        undisturbed.run(x=inputs["x"][:20])
        report = astroedge.verify(session, graph, steps=40)
        assert report.ok
        assert report.forced is not None
        assert report.forced.spikes_compared == 40 * (48 + 36)
        assert 0.02 < report.forced.spikes[0].session_rate < 0.6
        assert np.array_equal(session.run(x=inputs["x"][20:])["y"], undisturbed.run(x=inputs["x"][20:])["y"])


def test_disagreement_is_an_error_for_who_calls_and_a_report_for_who_examines(made: Compiled) -> None:
    """A trace that is not reproduced raises VerificationError in `verify`; `examine` gives a report that is not ok."""
    bundle = relabelled(made, "native", "exact")
    golden = bundle.manifest.golden
    ticks = (replace(golden.ticks[0], outputs=golden.ticks[1].outputs), *golden.ticks[1:])
    step = compile_step(
        StepGraph.load(made.graph), resolve_target("native"), math="exact", kernels="auto", probes=False
    )
    wrong = link_bundle(step, resolve_target("native"), replace(golden, ticks=ticks))
    assert not examine(wrong).ok
    with pytest.raises(VerificationError, match=r"differs at tick 1 \(outputs\)"):
        astroedge.verify(wrong)


def test_bundle_for_a_target_unknown_here_is_compared_by_its_bits(made: Compiled) -> None:
    """With exact math a build for this machine stands in for a target whose board file is somewhere else."""
    report = examine(relabelled(made, "someones-board", "exact"), made.graph, steps=30)
    assert report.ok
    assert report.forced is not None
    assert report.forced.spikes_compared == 30 * (48 + 36)


def test_bundle_without_spikes_is_compared_itself(compiled: Build) -> None:
    """A step that has no spikes to show needs no second build: the very library is compared with ONNX Runtime."""
    made = compiled("shift_register")
    with astroedge.load(made.bundle) as session:
        before = session.state.copy()
        report = examine(session, made.graph, steps=20)
        assert report.ok
        assert report.forced is not None
        assert report.forced.ticks == 20
        assert report.forced.probed
        assert np.array_equal(session.state, before)


def test_quantised_bundle_is_compared_with_its_own_weights(made: Compiled) -> None:
    """The compiled graph and the dequantised one serve alike; the device side alone asks for the dequantised one.

    Its examples round some of its weights, the same each time.
    """
    graph = StepGraph.load(made.graph)
    ticks = random_inputs(graph, 400)
    graph.hold_examples([{name: array[tick] for name, array in ticks.items()} for tick in range(400)])
    bundle = astroedge.compile(graph, precision="int4")
    reference = quantise(graph, "int4").graph
    assert reference.digest == bundle.manifest.dequantised_sha256 != graph.digest
    assert {item.examples for item in bundle.manifest.stored} >= {400}
    for given in (graph, reference):
        report = examine(bundle, given, steps=30)
        assert report.ok
        assert report.forced is not None
        assert report.forced.spikes_compared == 30 * (48 + 36)
    with pytest.raises(VerificationError, match="compiled from another graph"):
        examine(bundle, quantise(graph, "int8").graph, steps=30)
    with pytest.raises(VerificationError, match="stores its weights as int4 and this graph has them as they were"):
        verify_session(bundle, graph, steps=30)


def test_weights_that_another_release_quantised_are_refused(made: Compiled) -> None:
    """Where quantising gives other weights than the bundle's, nothing would be proved."""
    graph = StepGraph.load(made.graph)
    bundle = build(graph, precision="int8")
    other = edited(bundle, dequantised_sha256=quantise(graph, "int4").graph.digest)
    with pytest.raises(VerificationError, match="another release compiled it"):
        examine(other, graph)


def test_fast_math_for_a_target_unknown_here_is_refused(made: Compiled) -> None:
    """With fast math another build may have other bits, so nothing would be proved."""
    with pytest.raises(VerificationError, match="verify it with its graph where it was compiled"):
        examine(relabelled(made, "someones-board", "fast"), made.graph, steps=30)
