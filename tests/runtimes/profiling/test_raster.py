from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from astroedge.runtimes import load
from astroedge.runtimes.profiling.raster import choose_neurons, record_raster
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.step_profile import SpikeRaster
from tests.conftest import Compiled
from tests.support.graphs import random_inputs, recurrent_net, token_net

TICKS = 40
Build = Callable[[str], Compiled]


@pytest.fixture
def session(compiled: Build) -> Iterator[CompiledSession]:
    """A stream of the recurrent network."""
    with load(compiled("recurrent_net").bundle) as opened:
        yield opened


def by_name(rasters: tuple[SpikeRaster, ...]) -> dict[str, SpikeRaster]:
    """Rasters by their spike tensor."""
    return {item.name: item for item in rasters}


def test_spikes_are_seen_where_a_state_holds_them(session: CompiledSession) -> None:
    """A spike tensor that is a state is seen there, spike by spike, as stepping by hand gives them."""
    data = random_inputs(recurrent_net(), TICKS)
    found = by_name(record_raster(session, data, TICKS))["layers.0.spike"]
    session.reset()
    fired = []
    for tick in range(TICKS):
        session.step(x=data["x"][tick])
        fired.append(session.states["layers.0.s"].reshape(-1).copy())
    expected = np.argwhere(np.stack(fired)[:, list(found.neurons)] != 0)
    assert found.events == tuple(map(tuple, expected.tolist()))
    assert found.counts == tuple(int(row.sum()) for row in fired)
    assert found.source == "state layers.0.s"


def test_a_raster_leaves_the_stream_as_it_was(session: CompiledSession) -> None:
    """The session goes on from where it was, and a raster is always that of a stream from its reset."""
    data = random_inputs(recurrent_net(), TICKS)
    first = record_raster(session, data, TICKS)
    session.step(x=data["x"][3])
    before = session.snapshot()
    assert record_raster(session, data, TICKS) == first
    assert session.snapshot() == before


def test_what_stays_inside_is_counted_and_says_why(compiled: Build) -> None:
    """Spikes that leave the step nowhere are counted tick by tick; with the graph their neurons are shown as well."""
    graph = token_net(256)
    data = random_inputs(graph, TICKS)
    with load(compiled("token_net:256").bundle) as opened:
        alone = by_name(record_raster(opened, data, TICKS))[graph.spec.spikes[0].name]
        asked = by_name(record_raster(opened, data, TICKS, graph))[graph.spec.spikes[0].name]
    assert sum(alone.counts) > 0
    assert (alone.neurons, alone.events) == ((), ())
    assert "--probes" in alone.source
    assert asked.source == "the graph in ONNX Runtime"
    assert asked.counts == alone.counts
    assert len(asked.events) == sum(asked.counts)  # all of its 32 neurons are shown


def test_neurons_are_evenly_chosen() -> None:
    """Of many neurons 64 are shown, from the first on and equally far apart; of few all."""
    assert choose_neurons(5).tolist() == [0, 1, 2, 3, 4]
    assert choose_neurons(640).tolist() == list(range(0, 640, 10))
    assert len(choose_neurons(1000)) == 64
