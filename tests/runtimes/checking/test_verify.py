"""Verify: the golden trace on the device, and with the graph at hand the comparison with ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import Golden
from astroedge.errors import InputError, VerificationError
from astroedge.runtimes import load
from astroedge.runtimes.checking.verify import verify
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.step.graph import StepGraph
from astroedge.targets import compile_step, link_bundle
from astroedge.targets.boards.target import resolve_target
from tests.support.builds import build
from tests.support.bundles import TINY_TICK, draw_ticks, make_bundle, make_tiny_bundle, tiny_manifest, weights_bytes
from tests.support.graphs import lif_layer, random_inputs, recurrent_net
from tests.support.interpreters import packages_loaded_by


def with_golden(golden: Golden) -> Bundle:
    """The tiny bundle linked with another golden trace."""
    target = resolve_target("native")
    return make_bundle(replace(tiny_manifest(target), golden=golden), TINY_TICK, weights_bytes(), target)


@pytest.fixture(scope="module")
def graph() -> StepGraph:
    """The graph that is compiled."""
    return recurrent_net()


@pytest.fixture(scope="module")
def plain(graph: StepGraph) -> Iterator[CompiledSession]:
    """Its plain build."""
    with load(build(graph)) as session:
        yield session


@pytest.fixture(scope="module")
def probe(graph: StepGraph) -> Iterator[CompiledSession]:
    """Its probe build."""
    with load(build(graph, probes=True)) as session:
        yield session


def test_a_good_bundle_agrees_with_its_golden_trace(tmp_path: Path) -> None:
    """A saved bundle, given by its path, replays its trace; without a graph nothing else is claimed."""
    make_tiny_bundle().save(tmp_path / "tiny.astro")
    report = verify(tmp_path / "tiny.astro")
    assert report.ok
    assert [tick.tick for tick in report.golden.found] == [1, 10, 100, 1000]
    assert (report.forced, report.free) == (None, None)
    assert "equal at ticks 1, 10, 100, 1000" in report.text()
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))["golden"]["ok"] is True


def test_other_bits_are_reported_with_their_tick() -> None:
    """A state hash that this machine does not reproduce fails, and the tick and the part are named."""
    golden = make_tiny_bundle().manifest.golden
    ticks = tuple(replace(item, state="0" * 64) if item.tick == 100 else item for item in golden.ticks)
    report = verify(with_golden(replace(golden, ticks=ticks)))
    assert not report.ok
    assert "differs at tick 100 (state)" in report.text()
    assert report.to_json()["ok"] is False


def test_a_bundle_without_a_trace_proves_nothing() -> None:
    """No golden ticks is not success."""
    report = verify(with_golden(Golden(1, (), {})))
    assert not report.ok
    assert "no golden trace" in report.text()


def test_the_golden_part_needs_numpy_only(tmp_path: Path) -> None:
    """On a device verify imports neither onnx nor onnxruntime nor anything else of the host."""
    make_tiny_bundle().save(tmp_path / "tiny.astro")
    loaded = packages_loaded_by("import astroedge; assert astroedge.verify(sys.argv[1]).ok", tmp_path / "tiny.astro")
    assert loaded <= {"astroedge", "numpy"}


def test_a_running_stream_is_not_disturbed() -> None:
    """Verifying a session in the middle of a stream leaves the stream where it was."""
    data = draw_ticks(20)
    with load(make_tiny_bundle()) as session:
        expected = session.run(**data)["y"]
        session.reset()
        session.run(**{name: array[:10] for name, array in data.items()})
        assert verify(session).ok
        rest = session.run(**{name: array[10:] for name, array in data.items()})["y"]
        assert np.array_equal(rest, expected[10:])


def test_the_wrong_graph_is_refused_by_its_digest() -> None:
    """A graph the bundle was not compiled from is an error, not a comparison."""
    with pytest.raises(VerificationError, match="another graph"):
        verify(make_tiny_bundle(), lif_layer())


def test_a_compiled_bundle_follows_its_graph(graph: StepGraph, plain: CompiledSession, probe: CompiledSession) -> None:
    """Forced and free, drawn inputs, every spike through the probe build: all agree on exact weights."""
    report = verify(plain, graph, steps=300, probe=probe)
    assert report.forced is not None
    assert report.free is not None
    assert report.forced.ok
    assert report.forced.spikes_compared == 300 * (48 + 36)
    assert {layer.name for layer in report.forced.spikes} == {"layers.0.spike", "layers.1.spike"}
    assert all(layer.session_rate > 0.02 for layer in report.forced.spikes)
    assert report.free.first_spike is None
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))["forced"]["ok"] is True


def test_given_inputs_are_used_to_their_end(graph: StepGraph, probe: CompiledSession) -> None:
    """Without `steps` all given ticks are compared; with more steps than ticks it is an error."""
    data = random_inputs(graph, 40)
    report = verify(probe, graph, inputs=data)
    assert report.forced is not None
    assert report.forced.ticks == 40
    with pytest.raises(InputError, match="41"):
        verify(probe, graph, inputs=data, steps=41)


def test_a_plain_build_alone_is_compared_without_spikes(graph: StepGraph, plain: CompiledSession) -> None:
    """Without a probe build outputs and states are compared, and the report says that spikes were not."""
    report = verify(plain, graph, steps=50)
    assert report.forced is not None
    assert report.forced.ok
    assert report.forced.spikes_compared == 0
    assert "not a probe build" in report.text()


def test_a_probe_build_of_another_graph_is_refused(graph: StepGraph, probe: CompiledSession) -> None:
    """A probe build of another graph is refused by its digest."""
    with load(build(lif_layer(), probes=True)) as other, pytest.raises(VerificationError, match="another graph"):
        verify(probe, graph, probe=other)


def test_a_probe_that_parts_from_the_bundle_is_refused(graph: StepGraph, plain: CompiledSession) -> None:
    """Equal digests do not help a probe build whose weights were changed: it parts and is refused."""
    target = resolve_target("native")
    step = compile_step(graph, target, math="exact", kernels="auto", probes=True)
    weights = np.frombuffer(step.weights, np.float32) * np.float32(1.5)
    with (
        load(link_bundle(replace(step, weights=weights.tobytes()), target)) as session,
        pytest.raises(VerificationError, match="part between ticks 0"),
    ):
        verify(plain, graph, steps=100, probe=session)
