"""However many threads compute a tick, its bits are those of one thread."""

from __future__ import annotations

from functools import cache
from hashlib import sha256

import numpy as np
import pytest
import torch
from hypothesis import given, settings

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.models import AstroSNN, AstroSNNConfig
from astroedge.models.astrosnn import AstroSNNStep
from astroedge.runtimes import load, load_pool
from astroedge.step.graph import StepGraph
from astroedge.targets.compiler import passes
from astroedge.targets.compiler.program.plan_memory import MemoryPlan
from astroedge.targets.compiler.threads import plan_team as teams
from astroedge.targets.compiler.threads.plan_team import TeamPlan
from tests.support import graphs
from tests.support.builds import assert_fires, assert_same_run, build, build_for_teams
from tests.support.dataflow import Flow, flows, make_graph
from tests.support.networks import NETWORKS, graph_of, inputs_of

TICKS = 100
THREADS = (2, 3, 5)  # the last more than most machines that test this have cores
# Products of 600 × 900 weights, and of 900 × 900 around the loop.
LARGE = {"inputs": 600, "neurons": 900}

Results = tuple[dict[str, str], bytes, object]


def results(bundle: Bundle, inputs: dict[str, np.ndarray], threads: int) -> Results:
    """Digests of the outputs of all ticks, the last state, and what was counted."""
    with load(bundle, threads=threads) as session:
        assert session.threads == threads
        outputs = session.run(**inputs)
        state = session.state.tobytes()
        return {name: sha256(array.tobytes()).hexdigest() for name, array in outputs.items()}, state, session.activity()


@cache
def teams_of(network: str, batch: int) -> Bundle:
    """A network in which everything that can be divided is."""
    bundle = build_for_teams(graph_of(network, batch))
    assert bundle.manifest.threads > 1
    return bundle


@pytest.mark.parametrize(
    ("network", "batch"),
    # The demo is an AstroSNN, of which another one, too, runs in a batch.
    [*((network, 1) for network in NETWORKS), *((network, 3) for network in NETWORKS if network != "demo")],
)
def test_threads_change_no_bit(network: str, batch: int) -> None:
    """Outputs, states and activity of every network, alone and in batches, are those of one thread."""
    inputs = inputs_of(network, TICKS, batch)
    expected = results(teams_of(network, batch), inputs, 1)
    for threads in THREADS:
        assert results(teams_of(network, batch), inputs, threads) == expected


@pytest.mark.parametrize(("precision", "shared_bytes"), [("float32", 12_000), ("int8", 5_000), ("int4", 4_000)])
def test_rows_that_are_updated_later_have_the_bits_of_one_thread(
    precision: str, shared_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An AstroSNN of which other threads update the memory while thread 0 works alone; states are whole every tick."""
    left: list[int] = []

    def plan_team(plan: MemoryPlan) -> TeamPlan | None:
        planned = teams.plan_team(plan)
        left.append(0 if planned is None else sum(item.others for item in planned.calls))
        return planned

    monkeypatch.setattr(passes, "plan_team", plan_team)
    torch.manual_seed(0)
    config = AstroSNNConfig(vocabulary=64, width=128, heads=8, feed_forward=192, layers=3)
    model = AstroSNNStep(AstroSNN(config)).eval()
    examples = [(torch.tensor([token]),) for token in range(64)]
    graph = astroedge.export(model, examples[0], model.initial_state(1), examples=examples)
    bundle = build_for_teams(graph, precision=precision, shared_bytes=shared_bytes)
    assert sum(left) >= 4, "no update is split"  # the rows that are listed, their product, its gate, and a slice
    inputs = {"token": np.random.default_rng(4).integers(0, 64, (TICKS, 1))}
    expected = results(bundle, inputs, 1)
    for count in THREADS:
        assert results(bundle, inputs, count) == expected
    with load(bundle, threads=1) as one, load(bundle, threads=2) as two:
        for row in inputs["token"]:
            one.step(token=row)
            two.step(token=row)
            assert np.array_equal(one.state, two.state)
        assert_fires(two)


def test_teams_change_no_bit_of_one_thread() -> None:
    """One thread computes the same whether or not its library has a tick for teams, which orders calls differently."""
    inputs = inputs_of("astrosnn", TICKS)
    assert results(teams_of("astrosnn", 1), inputs, 1) == results(build(graph_of("astrosnn")), inputs, 1)


@pytest.mark.parametrize("network", NETWORKS)
def test_steps_of_a_team_are_its_run(network: str) -> None:
    """`astro_step` by a team, whose workers may fall asleep in between, gives what `astro_run` by another one gives."""
    inputs, ticks = inputs_of(network, 40), range(40)
    with load(teams_of(network, 1), threads=2) as single, load(teams_of(network, 1), threads=3) as many:
        given = many.run(**inputs)
        stepped = [single.step(**{name: array[tick] for name, array in inputs.items()}) for tick in ticks]
        for name, array in given.items():
            assert np.stack([tick[name] for tick in stepped]).tobytes() == array.tobytes()
        assert np.array_equal(single.state, many.state)


@pytest.mark.parametrize("network", [network for network in NETWORKS if network != "demo"])
def test_a_pool_gives_what_a_batch_gives(network: str) -> None:
    """Streams of a pool, on two threads, have the bits that they have side by side in one step."""
    inputs = inputs_of(network, TICKS, 3)
    with load(teams_of(network, 3), threads=1) as batch, load_pool(teams_of(network, 1), 3, threads=2) as pool:
        expected = batch.run(**inputs)
        found = pool.run(**{name: np.swapaxes(array, 0, 1)[:, :, None] for name, array in inputs.items()})
        for name, array in expected.items():
            assert np.swapaxes(array, 0, 1).tobytes() == found[name].tobytes()


def test_streams_that_read_the_same_rows_have_the_bits_of_the_graph() -> None:
    """A batch whose weights lie in tiles, on one thread and several, and of each stream alone in a pool."""
    batch, alone = (graphs.lif_layer(inputs=300, neurons=330, batch=count) for count in (9, 1))
    bundle = build_for_teams(batch)
    assert (300 * 330,) in {item.shape for item in bundle.manifest.layout.weights}, "the weights are not packed"
    inputs = graphs.random_inputs(batch, 40)
    for threads in (1, 3):
        with load(bundle, threads=threads) as session:
            expected = assert_same_run(batch, session, inputs)["y"]
    with load_pool(build(alone), 9) as pool:
        found = pool.run(x=np.swapaxes(inputs["x"], 0, 1)[:, :, None])["y"]
        assert np.swapaxes(expected, 0, 1).tobytes() == found.tobytes()


@settings(max_examples=6)
@given(flows())
def test_random_dataflow_waits_where_it_must(flow: Flow) -> None:
    """Steps whose values share memory in every way are their graphs, too, when three threads compute them."""
    graph = make_graph(flow)
    bundle = build_for_teams(graph)
    with load(bundle, threads=3 if bundle.manifest.threads > 1 else 1) as session:
        assert_same_run(graph, session, graphs.random_inputs(graph, 40, seed=flow.seed))


@pytest.fixture(scope="module")
def large() -> StepGraph:
    """A layer whose product alone is worth a team."""
    return graphs.lif_layer(**LARGE)


def test_large_steps_are_divided_without_being_asked(large: StepGraph) -> None:
    """A dense product of half a million weights is worth a team; a small step is compiled for one thread only."""
    bundle = build(large, kernels="dense")
    assert bundle.manifest.threads > 1
    assert bundle.manifest.default_threads == 1
    inputs = graphs.random_inputs(large, TICKS)
    assert results(bundle, inputs, 2) == results(bundle, inputs, 1)
    assert build(graphs.lif_layer()).manifest.threads == 1


def test_the_same_step_gives_the_same_library(large: StepGraph) -> None:
    """Compiling is deterministic with teams, too."""
    first, second = (build(large, kernels="dense") for _ in range(2))
    assert first.library() == second.library()
