"""One order of additions: the bits of a step depend on neither kernels nor processor, batch or way of calling it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from astroedge.bundle.container import Bundle
from astroedge.runtimes import load
from astroedge.step.graph import StepGraph
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.precision.storage import STORAGES
from astroedge.workflows.compile_graph import runs_here
from tests.support import graphs
from tests.support.builds import build
from tests.support.networks import HIGHEST_RATE, LOWEST_RATE, NETWORKS, bundle_of, graph_of, inputs_of

STORED = ("adaptive-threshold", "gru", "convolutional")
SMALL = [name for name in NETWORKS if name != "demo"]
TICKS = 300
STREAMS = 3
Arrays = dict[str, np.ndarray]

# Instruction sets and kernel choices, each of them against what this machine's own default gives.
WAYS = {
    "128 bits, dense kernels": ("x86-64-v2", "dense"),
    "256 bits, event-driven kernels": ("x86-64-v3", "event"),
    "512 bits": ("x86-64-v4", "auto"),
}
# With float32 weights everything is tried; stored weights change only the kernels of products, and of these every
# network, like every precision, sees both the dense and the event-driven ones.
CASES = [(network, "float32", way) for network in SMALL for way in WAYS]
CASES += [
    (network, precision, list(WAYS)[(row + column) % 2])
    for row, network in enumerate(STORED)
    for column, precision in enumerate(list(STORAGES)[1:])
]


def results(bundle: Bundle, inputs: Arrays) -> tuple[Arrays, Arrays]:
    """Outputs of all ticks and the last states, by name."""
    with load(bundle) as session:
        outputs = session.run(**inputs)
        return outputs, {name: state.copy() for name, state in session.states.items()}


@cache
def expected(network: str, precision: str) -> tuple[Arrays, Arrays]:
    """What this machine's default gives."""
    return results(bundle_of(network, precision=precision), inputs_of(network, TICKS))


def assert_same_bits(found: Arrays, wanted: Arrays) -> None:
    """Demand equal bytes of every array."""
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_array_equal(_bits(found[name]), _bits(array), err_msg=name)


def _bits(array: Any) -> np.ndarray:
    """An array's elements as unsigned integers, so that −0 differs from 0."""
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")


@pytest.mark.parametrize("network", SMALL)
def test_networks_fire_and_move(network: str) -> None:
    """Every spike tensor of these networks fires at 1 to 60 %, and their outputs keep changing."""
    with load(bundle_of(network)) as session:
        outputs = session.run(**inputs_of(network, TICKS))
        for name, count in session.activity().items():
            assert LOWEST_RATE <= count.firing_rate <= HIGHEST_RATE, f"{name} fires at {count.firing_rate:.1%}"
    for array in outputs.values():
        assert len(np.unique(array, axis=0)) > TICKS // 2


@pytest.mark.parametrize(("network", "precision", "way"), CASES)
def test_instruction_set_and_kernels_change_no_bit(network: str, precision: str, way: str) -> None:
    """Wider vectors, event-driven and dense kernels all give the outputs and the state of the default."""
    target, kernels = WAYS[way]
    if not runs_here(resolve_target(target)):
        pytest.skip(f"this processor cannot run {target} code")
    bundle = bundle_of(network, target, kernels, precision=precision)
    read_spikes = {matrix.kernel for matrix in bundle.manifest.matrices if matrix.spikes is not None}
    assert kernels == "auto" or not read_spikes or kernels in read_spikes
    found = results(bundle, inputs_of(network, TICKS))
    for given, wanted in zip(found, expected(network, precision), strict=True):
        assert_same_bits(given, wanted)


@pytest.mark.parametrize(
    ("network", "precision"), [*((network, "float32") for network in SMALL), ("gru", "int8"), ("gru", "int4")]
)
def test_a_stream_of_a_batch_is_that_stream_alone(network: str, precision: str) -> None:
    """Three streams stepped together give each the outputs and states it has on its own."""
    inputs = inputs_of(network, TICKS, STREAMS)
    outputs, states = results(bundle_of(network, batch=STREAMS, precision=precision), inputs)
    single = bundle_of(network, precision=precision)
    axes = {state.name: state.batch_axis for state in graph_of(network, STREAMS).spec.states}
    for stream in range(STREAMS):
        alone = results(single, {name: array[:, stream : stream + 1] for name, array in inputs.items()})
        assert_same_bits({name: array[:, stream : stream + 1] for name, array in outputs.items()}, alone[0])
        assert_same_bits({name: np.take(state, [stream], axes[name]) for name, state in states.items()}, alone[1])


@pytest.mark.parametrize("make", [graphs.lif_layer, graphs.recurrent_net], ids=["spikes given", "spikes as a state"])
def test_forced_kernels_agree_in_batches(make: Callable[..., StepGraph]) -> None:
    """With several streams at once, too, event-driven and dense products have the same bits."""
    graph = make(batch=STREAMS)
    inputs = graphs.random_inputs(graph, TICKS, seed=5)
    event, dense = (results(build(graph, kernels=kernels), inputs) for kernels in ("event", "dense"))
    for given, wanted in zip(event, dense, strict=True):
        assert_same_bits(given, wanted)


def test_probes_change_no_bit() -> None:
    """A build that also shows spikes and margins has the state and outputs of the plain one, and they agree."""
    graph = graph_of("astrosnn")
    outputs, states = results(build(graph, probes=True), inputs_of("astrosnn", TICKS))
    wanted = expected("astrosnn", "float32")
    assert_same_bits({name: outputs[name] for name in wanted[0]}, wanted[0])
    assert_same_bits(states, wanted[1])
    for spike in graph.spec.spikes:
        fired, margin = outputs[f"spike.{spike.name}"], outputs[f"margin.{spike.name}"]
        np.testing.assert_array_equal(fired != 0, margin >= 0, err_msg=spike.name)


@pytest.mark.parametrize("network", SMALL)
def test_one_tick_at_a_time_is_a_run(network: str) -> None:
    """`astro_step` called for every tick gives what one `astro_run` over all of them gives, and counts the same."""
    inputs = inputs_of(network, TICKS)
    with load(bundle_of(network)) as single, load(bundle_of(network)) as many:
        ticks = [single.step(**{name: array[tick] for name, array in inputs.items()}) for tick in range(TICKS)]
        given = many.run(**inputs)
        assert_same_bits({name: np.stack([tick[name] for tick in ticks]) for name in given}, given)
        np.testing.assert_array_equal(single.state, many.state)
        assert single.activity() == many.activity()
