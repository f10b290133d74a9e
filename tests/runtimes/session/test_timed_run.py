"""Native ticks with the time noted at every kernel: their bits, their order, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from astroedge.bundle.manifest import Device
from astroedge.errors import InputError
from astroedge.runtimes import load
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.runtimes.session.timed_run import TimedRun, read_clock, refuse_kernels
from tests.support.builds import build_for_teams, build_of
from tests.support.graphs import identity_next, random_inputs, recurrent_net

TICKS = 30


def active(session: CompiledSession) -> dict[str, int]:
    """The active elements counted so far."""
    return {name: count.active for name, count in session.activity().items()}


@pytest.fixture
def session() -> Iterator[CompiledSession]:
    """A session of a recurrent network."""
    with load(build_of(recurrent_net)) as loaded:
        yield loaded


def test_an_instrumented_tick_has_the_bits_of_a_plain_one(session: CompiledSession) -> None:
    """State, outputs and activity after ticks with stamps are those after ticks without, in plain runs too."""
    inputs = random_inputs(recurrent_net(), TICKS)
    session.run(**inputs)
    expected, counts = session.state.copy(), active(session)
    run = TimedRun(session, inputs)
    for times, compute in enumerate((run.run, run.run_with_stamps), 2):
        session.reset()
        compute()
        assert np.array_equal(session.state, expected)
        assert active(session) == {name: times * count for name, count in counts.items()}
    with load(session.bundle) as other:
        outputs = [other.step(x=inputs["x"][tick]) for tick in range(TICKS)][-1]
        for name, value in outputs.items():
            field = next(item for item in session.manifest.layout.outputs if item.name == name)
            shown = session.output_bytes[field.offset : field.offset + field.nbytes]
            assert value.tobytes() == shown.tobytes()


def test_stamps_follow_the_order_of_the_tick(session: CompiledSession) -> None:
    """Every kernel of every tick begins where the one before it ended, and ticks do not overlap."""
    took, stamps = TimedRun(session, random_inputs(recurrent_net(), TICKS)).run_with_stamps()
    assert took > 0
    assert stamps.shape == (TICKS, len(session.manifest.kernels) + 1)
    assert (np.diff(stamps.astype(np.int64).reshape(-1)) >= 0).all()
    assert stamps[-1, -1] > stamps[0, 0] > 0
    assert read_clock(session, 3)[0] >= stamps[-1, -1]


def test_a_team_is_left_alone() -> None:
    """The kernels of a session with threads are timed by one, with the same bits, and its team goes on afterwards."""
    inputs = random_inputs(recurrent_net(), TICKS)
    with load(build_for_teams(recurrent_net()), threads=2) as session:
        first = session.run(**inputs)
        expected = session.state.copy()
        session.reset()
        _, stamps = TimedRun(session, inputs).run_with_stamps()
        assert np.array_equal(session.state, expected)
        assert stamps.all()
        session.reset()
        for name, value in session.run(**inputs).items():
            assert np.array_equal(value, first[name])


def test_inputs_are_checked_before_anything_is_computed(session: CompiledSession) -> None:
    """A NaN is refused with its place, as `run` does, and the state is that of before."""
    inputs = random_inputs(recurrent_net(), TICKS)
    inputs["x"][7, 0, 1] = np.nan
    before = session.state.copy()
    with pytest.raises(InputError, match="NaN"):
        TimedRun(session, inputs)
    assert np.array_equal(session.state, before)
    with pytest.raises(InputError, match="y"):
        TimedRun(session, {"y": inputs["x"]})


def test_what_has_no_kernels_to_time_is_refused(session: CompiledSession) -> None:
    """A GPU's launch is not looked into, nor a build with probes; a step without calls has none."""
    on_gpu = replace(session.manifest, device=Device("cuda", "step", 256, 1, 0, "none", ()))
    with pytest.raises(InputError, match="one launch"):
        refuse_kernels(on_gpu)
    with pytest.raises(InputError, match="probes"):
        refuse_kernels(replace(session.manifest, probes=True))
    with pytest.raises(InputError, match="no kernels"):
        refuse_kernels(replace(session.manifest, kernels=()))
    assert build_of(identity_next).manifest.stamps == len(build_of(identity_next).manifest.kernels) + 1
