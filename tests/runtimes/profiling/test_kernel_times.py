"""Kernels of a real step, timed: whose they are, what was active, and that the numbers belong together."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import astroedge
from astroedge.errors import AstroEdgeError, InputError
from astroedge.kernel_profile import KernelTimes, KernelTrace
from astroedge.runtimes import load
from astroedge.runtimes.profiling.kernel_times import time_kernels
from astroedge.runtimes.profiling.profiler import profile
from astroedge.step_profile import Profile
from astroedge.trace_events import trace_events
from tests.support.builds import build_of
from tests.support.graphs import random_inputs, recurrent_net

SCHEMA = json.loads((Path(astroedge.__file__).parent / "schemas" / "profile.schema.json").read_text())
TICKS = 60


@pytest.fixture(scope="module")
def measured() -> Profile:
    """A profile with kernels of a network that is event-driven."""
    return profile(build_of(recurrent_net, kernels="event"), inputs=random_inputs(recurrent_net(), TICKS), kernels=True)


def kernels_of(measured: Profile) -> KernelTimes:
    """What was found of the kernels."""
    assert measured.kernels is not None
    return measured.kernels


def test_every_call_is_there_with_its_module(measured: Profile) -> None:
    """The items have all calls of the tick in their order, and every product's module and operator."""
    manifest, items = build_of(recurrent_net, kernels="event").manifest, kernels_of(measured).items
    assert sum(item.calls for item in items) == len(manifest.kernels)
    places = [[kernel.name for kernel in manifest.kernels].index(item.name) for item in items]
    assert places == sorted(places)
    products = {item.module for item in items if item.operator == "matmul"}
    assert products == {matrix.name for matrix in manifest.matrices}
    assert all(item.module for item in items if item.kind == "event")


def test_active_inputs_are_those_that_fired(measured: Profile) -> None:
    """A kernel's active inputs are the session's activity over the same ticks, from the same state."""
    bundle, inputs = build_of(recurrent_net, kernels="event"), random_inputs(recurrent_net(), TICKS)
    with load(bundle) as session:
        session.run(**inputs)
        fired = {name: count.active / TICKS for name, count in session.activity().items()}
    spikes = {kernel.name: kernel.spikes for kernel in bundle.manifest.kernels}
    event = [item for item in kernels_of(measured).items if item.kind == "event"]
    assert event
    for item in event:
        name = spikes[item.name]
        assert name is not None
        assert item.active == pytest.approx(fired[name])
        assert item.inputs is not None
        assert 0 < item.active < item.inputs  # type: ignore[operator]
        assert item.bytes > 0


def test_times_belong_together(measured: Profile) -> None:
    """Shares are of the sum, which an instrumented tick holds, and the ratio is of the two ticks.

    Kernels are timed by the processor's counter and ticks by the system's clock, which may drift apart a little.
    """
    kernels = kernels_of(measured)
    part = kernels.instrumented
    assert all(item.time >= 0 for item in kernels.items)
    assert sum(item.time for item in kernels.items) == pytest.approx(part.sum)
    assert sum(item.share for item in kernels.items) == pytest.approx(1)
    assert 0 < part.sum <= 1.05 * part.step
    assert part.ratio == part.step / part.plain
    assert part.clock > 0
    for item in kernels.items:
        assert item.bandwidth == pytest.approx(item.bytes / item.time * 1e9 if item.time else 0)


def test_nothing_is_lost_in_json(measured: Profile) -> None:
    """The JSON keeps its schema and reads back as the same kernels; without them the member is not there."""
    jsonschema.validate(measured.to_json(), SCHEMA)
    read = Profile.from_json(json.loads(json.dumps(measured.to_json())))
    assert read.kernels == measured.kernels
    assert "kernels" not in replace(measured, kernels=None).to_json()
    named = [row[1] for row in measured.rows() if row[0] == "kernel"]
    assert named == [item.title for item in kernels_of(measured).items]


def test_the_trace_has_every_call_of_its_ticks(measured: Profile) -> None:
    """Complete events in microseconds: a tick spans its kernels, which follow each other on a track of their own."""
    record = json.loads(json.dumps(trace_events(measured)))
    complete = [event for event in record["traceEvents"] if event["ph"] == "X"]
    ticks = [event for event in complete if event["cat"] == "tick"]
    calls = [event for event in complete if event["cat"] == "kernel"]
    count = len(build_of(recurrent_net, kernels="event").manifest.kernels)
    assert (len(calls), len(ticks) > 1) == (len(ticks) * count, True)
    for index, tick in enumerate(ticks):
        own = calls[index * count : (index + 1) * count]
        assert tick["ts"] == own[0]["ts"]
        assert tick["ts"] + tick["dur"] == pytest.approx(own[-1]["ts"] + own[-1]["dur"])
        assert np.all(np.diff([event["ts"] for event in own]) >= 0)
        assert {event["tid"] for event in own} != {tick["tid"]}
    named = {event["args"]["name"] for event in record["traceEvents"] if event["ph"] == "M"}
    assert {"ticks", "thread 0"} <= named


def test_only_a_fresh_measurement_has_a_trace(measured: Profile) -> None:
    """A profile without kernels, or read from JSON, has no trace, and says how to get one."""
    for other in (replace(measured, kernels=None), Profile.from_json(measured.to_json())):
        with pytest.raises(AstroEdgeError, match="--kernels"):
            trace_events(other)


def test_a_trace_reads_back_and_a_damaged_one_does_not(measured: Profile) -> None:
    """The members of a trace as JSON are the same trace; names, modules and times that do not fit are refused."""
    trace = kernels_of(measured).trace
    assert trace is not None
    record = json.loads(json.dumps(asdict(trace)))
    assert KernelTrace.from_json(record) == trace
    for damage in ({"names": ["one"]}, {"modules": [0] * len(trace.names)}, {"ticks": [[0.0]]}, {"ticks": [["now"]]}):
        with pytest.raises(ValueError, match=r"trace|float"):
            KernelTrace.from_json({**record, **damage})


def test_a_stream_goes_on_where_it_was() -> None:
    """Timing kernels in the middle of a stream changes nothing of its state."""
    inputs = random_inputs(recurrent_net(), 10)
    with load(build_of(recurrent_net)) as session:
        session.run(**inputs)
        before, expected = session.snapshot(), session.state.copy()
        time_kernels(session, steps=20)
        assert np.array_equal(session.state, expected)
        assert session.snapshot() == before
        with pytest.raises(InputError, match="0 steps"):
            time_kernels(session, steps=0)
