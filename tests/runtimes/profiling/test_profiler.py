"""Profiles of a real bundle: every number is there or its absence explained, and nothing outside is disturbed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import astroedge
from astroedge.errors import InputError, VerificationError
from astroedge.runtimes import load
from astroedge.runtimes.profiling.memory_use import resident_bytes
from astroedge.runtimes.profiling.profiler import profile
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.step.graph import StepGraph
from astroedge.step_profile import Profile, Timing
from tests.support.builds import build
from tests.support.bundles import NEURONS, READOUTS, TinyModel, draw_ticks, make_tiny_bundle
from tests.support.graphs import lif_layer, recurrent_net
from tests.support.teams import team_bundle

SCHEMA = json.loads((Path(astroedge.__file__).parent / "schemas" / "profile.schema.json").read_text())


@pytest.fixture(scope="module")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved bundle."""
    path = tmp_path_factory.mktemp("bundles") / "tiny.astro"
    make_tiny_bundle().save(path)
    return path


@pytest.fixture
def session() -> Iterator[CompiledSession]:
    """A session of the tiny bundle."""
    with load(make_tiny_bundle()) as loaded:
        yield loaded


def test_threads_are_those_of_the_session() -> None:
    """A profile says how many threads computed a step, and a loaded session keeps its own."""
    assert profile(team_bundle(), steps=5, warmup=0, threads=2).threads == 2
    with load(team_bundle(), threads=2) as session:
        assert profile(session, steps=5, warmup=0).threads == 2
        with pytest.raises(InputError, match="loaded with threads=2"):
            profile(session, steps=5, threads=3)


def test_a_bundles_path_gives_every_number(tiny_path: Path) -> None:
    """Load time, first step, throughput, memory and sizes are measured, and the JSON obeys its schema."""
    result = profile(tiny_path, steps=60, warmup=5)
    for name in ("load time", "first step", "throughput", "bundle size", "weights size", "peak memory", "added memory"):
        assert result.reading(name).label == "measured", name
    for name in ("load time", "first step", "throughput", "bundle size", "weights size", "peak memory"):
        value = result.reading(name).value
        assert value is not None
        assert value > 0, name
    assert (result.step.count, result.warmup, result.comparison) == (60, 5, None)
    assert (len(result.repeats), len(result.timeline), result.paced, result.energy) == (1, 10, None, None)
    assert result.native is not None
    assert result.reading("throughput").value == pytest.approx(1e9 / result.native.p50)
    assert result.native.min <= result.native.p50 <= result.native.max
    assert result.host is not None
    assert (result.host.astroedge, result.host.numpy) == (astroedge.__version__, np.__version__)
    jsonschema.validate(result.to_json(), SCHEMA)
    assert Profile.from_json(result.to_json()) == result


def test_the_bundle_size_is_what_the_folder_holds(tiny_path: Path) -> None:
    """The size is the sum of all files of the bundle."""
    files = [path.stat().st_size for path in tiny_path.rglob("*") if path.is_file()]
    assert profile(tiny_path, steps=5).reading("bundle size").value == sum(files)


def test_firing_rates_and_operations_are_those_of_the_timed_steps(session: CompiledSession) -> None:
    """Rates and effective ACs equal what a NumPy model of the layer does on the same ticks, warm-up not counted."""
    data, model, fired = draw_ticks(80), TinyModel(), 0
    for tick in [*range(7), *range(80)]:
        _, spikes = model.step(*(int(data["token"][tick, 0]), data["x"][tick], data["gate"][tick]))
        fired += int(spikes.sum())
        fired = 0 if tick == 6 and model.ticks == 7 else fired
    result = profile(session, steps=80, inputs=data, warmup=7)
    (spike,) = result.spikes
    assert (spike.name, spike.size) == ("lif.spikes", NEURONS)
    assert spike.rate == pytest.approx(fired / (80 * NEURONS))
    assert spike.rate > 0.02
    assert result.operations.effective_acs == pytest.approx(fired / 80 * READOUTS)
    assert (result.operations.dense, result.operations.label) == (NEURONS * READOUTS, "measured")
    assert result.inputs == "given"


def test_raw_samples_are_kept_on_request(session: CompiledSession) -> None:
    """With `keep_samples` the summary is that of the samples; without there are none."""
    kept = profile(session, steps=25, warmup=0, keep_samples=True)
    assert len(kept.samples) == 25
    assert kept.step == Timing.of(kept.samples)
    assert profile(session, steps=25, warmup=0).samples == ()


def test_a_session_goes_on_where_it_was(session: CompiledSession) -> None:
    """Profiling in the middle of a stream changes nothing of it, and says why load time is missing."""
    data = draw_ticks(20)
    expected = session.run(**data)["y"]
    session.reset()
    session.run(**{name: array[:10] for name, array in data.items()})
    result = profile(session, steps=10)
    assert np.array_equal(session.run(**{name: array[10:] for name, array in data.items()})["y"], expected[10:])
    reading = result.reading("load time")
    assert (reading.label, reading.value) == ("unavailable", None)
    assert "session" in reading.note


def test_ticks_are_fed_in_a_loop_and_the_profile_says_so(session: CompiledSession) -> None:
    """More steps than there are ticks, and a duration, go round; both are told from ticks that were fed once."""
    data = draw_ticks(10)
    assert profile(session, steps=10, inputs=data).inputs == "given"
    assert profile(session, steps=11, inputs=data).inputs == "given, 10 ticks in a loop"
    assert profile(session, steps=11, warmup=0).inputs == f"drawn from seed {session.manifest.golden.seed}"
    looped = profile(session, duration=0.01, warmup=0)
    assert looped.inputs == f"drawn from seed {session.manifest.golden.seed}, 1,000 ticks in a loop"
    assert looped.step.count >= 10


def test_no_ticks_are_refused(session: CompiledSession) -> None:
    """Inputs without a single tick cannot be fed."""
    with pytest.raises(InputError, match="no ticks"):
        profile(session, steps=1, inputs={name: array[:0] for name, array in draw_ticks(2).items()})


def test_every_repeat_times_the_same_stream(session: CompiledSession) -> None:
    """Three repeats of 20 steps from the initial state: 60 samples, and the firing rates of one of them."""
    data = draw_ticks(20)
    once = profile(session, steps=20, inputs=data, warmup=3)
    thrice = profile(session, steps=20, inputs=data, warmup=3, repeat=3)
    assert (thrice.step.count, len(thrice.repeats), len(thrice.timeline)) == (60, 3, 30)
    assert thrice.spikes == once.spikes
    assert {item.p50 > 0 and item.mean > 0 and item.native > 0 for item in thrice.repeats} == {True}
    assert {"p50", "mean", "native"} <= {name for group, name, *_ in thrice.rows() if group == "repeats"}


def test_digests_are_those_of_the_files(tiny_path: Path) -> None:
    """The digests of library, weights and manifest are what `sha256sum` says of the bundle's files."""
    found = profile(tiny_path, steps=5, warmup=0).digests
    files = {path.name.partition("-")[0].partition(".")[0]: path for path in tiny_path.iterdir() if path.is_file()}
    for name, file in (("library", "step"), ("weights", "weights"), ("manifest", "manifest")):
        assert found[name] == sha256(files[file].read_bytes()).hexdigest(), name
    assert found["bundle"] == make_tiny_bundle().linked_digest


def test_paced_ticks_are_in_the_profile_with_their_peer(session: CompiledSession) -> None:
    """With a rate the ticks at their due times are summarised; beside ONNX Runtime it is paced as many times."""
    alone = profile(session, steps=6, rate=500.0).paced
    assert alone is not None
    assert (alone.rate, alone.period, alone.step.count, alone.wake.count, alone.peer) == (500.0, 2e6, 6, 6, None)
    graph = recurrent_net()
    result = profile(build(graph), steps=12, rate=500.0, compare=graph)
    assert result.paced is not None
    peer = result.paced.peer
    assert peer is not None
    assert (result.paced.step.count, peer.step.count, peer.runtime) == (12, 12, "ONNX Runtime")
    jsonschema.validate(result.to_json(), SCHEMA)
    assert Profile.from_json(result.to_json()) == result
    assert sum(group.endswith("paced at 500 Hz") for group, *_ in result.rows()) == 14


def test_another_graph_is_not_compared_with(session: CompiledSession) -> None:
    """A comparison with a graph the bundle does not come from would mean nothing."""
    with pytest.raises(VerificationError, match="another graph"):
        profile(session, steps=5, compare=lif_layer())


def test_onnx_runtime_is_measured_beside_it() -> None:
    """With its graph, medians and ratios of both are there; the ratio lies between the extremes of the rounds."""
    graph = recurrent_net()
    result = profile(build(graph), steps=200, compare=graph)
    comparison = result.comparison
    assert comparison is not None
    assert comparison.rounds == 10
    assert comparison.ratio == pytest.approx(comparison.theirs / comparison.ours)
    assert 0 < comparison.lowest <= comparison.highest
    jsonschema.validate(result.to_json(), SCHEMA)
    assert any(group.startswith("ONNX Runtime") for group, *_ in result.rows())


def test_a_step_without_inputs_can_be_profiled() -> None:
    """A step that runs by itself has ticks to time although there is no data."""
    graph = _pacemaker()
    result = profile(build(graph), steps=20)
    assert result.step.count == 20
    (spike,) = result.spikes
    assert spike.rate > 0


def test_memory_is_read_from_the_kernel(tmp_path: Path) -> None:
    """VmRSS and VmHWM in kB become bytes; a file that lacks them gives None."""
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n")
    assert resident_bytes(status) == (1024 * 1024, 2048 * 1024)
    status.write_text("Name:\tpython\n")
    assert resident_bytes(status) is None
    assert resident_bytes(tmp_path / "missing") is None


def _pacemaker() -> StepGraph:
    """Neurons that charge by themselves and fire every few ticks."""
    from onnx import TensorProto, helper

    from astroedge.step.spec import SpikeSpec, StateSpec, StepSpec, TensorSpec
    from tests.support.graphs import build as make_graph

    spec = StepSpec(
        inputs=(),
        outputs=(TensorSpec("y", (1, 4), "float32"),),
        states=(StateSpec("v", (1, 4), "float32"),),
        spikes=(SpikeSpec("beat", "fired", (1, 4), 0.2),),
    )
    nodes = [
        helper.make_node("Add", ["state.v", "charge"], ["membrane"]),
        helper.make_node("GreaterOrEqual", ["membrane", "threshold"], ["fired"]),
        helper.make_node("Cast", ["fired"], ["spikes"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["spikes", "W"], ["y"]),
        helper.make_node("Sub", ["membrane", "spikes"], ["next.v"]),
    ]
    constants = {
        "charge": np.array([[0.125, 0.25, 0.375, 0.5]], np.float32),
        "threshold": np.float32(1.0),
        "W": np.eye(4, dtype=np.float32) + 1,
    }
    return make_graph("pacemaker", spec, nodes, constants)


def test_energy_is_measured_when_asked_for(session: CompiledSession, tmp_path: Path) -> None:
    """Unasked, the reading says how to ask; a meter that is none is refused before anything is measured."""
    reading = profile(session, steps=5, warmup=0).reading("energy per step")
    assert (reading.label, "--energy" in reading.note) == ("unavailable", True)
    (tmp_path / "power.csv").write_text("no,meter\n")
    with pytest.raises(InputError, match="row 1"):
        profile(session, duration=1e4, meter=str(tmp_path / "power.csv"))
