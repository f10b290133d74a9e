"""Steps with stored weights compute what their dequantised graphs compute, whatever is stored and by which kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from astroedge.runtimes import load
from astroedge.runtimes.checking.golden import draw_inputs
from astroedge.runtimes.checking.parity import compare_forced
from astroedge.runtimes.checking.reference import ObservedReference
from astroedge.step.graph import StepGraph
from astroedge.step.spec import SpikeSpec, StateSpec, StepSpec, TensorSpec
from astroedge.targets import quantise
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.precision.find_matrices import find_matrices
from astroedge.targets.precision.quantise_weights import QuantisedGraph
from astroedge.targets.precision.storage import GROUP, STORAGES
from astroedge.workflows.compile_graph import probe_build
from tests.support import graphs
from tests.support.builds import assert_fires, assert_same_run, build, hashes
from tests.support.gru import gru

TICKS = 200
LOSSY = [word for word, storage in STORAGES.items() if not storage.is_plain]


def wide_lif() -> StepGraph:
    """Spikes into one layer: more inputs than a block of the reduction order, and no multiple of a group."""
    return graphs.lif_layer(inputs=300, neurons=137)


def wide_recurrent() -> StepGraph:
    """Two recurrent layers large enough for active lists."""
    return graphs.recurrent_net(inputs=70, hidden=(130, 96), outputs=20)


def tied_embedding(vocabulary: int = 90, width: int = 72) -> StepGraph:
    """A token's row drives a LIF layer, and the same table, the other way round, gives the logits."""
    graph = graphs.token_net(vocabulary, width)
    model = graph.model
    nodes = [node for node in model.graph.node if node.output[0] != "logits"]
    nodes.append(helper.make_node("Gemm", ["spike", "embedding", "b_out"], ["logits"], transB=1))
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return graphs.build("tied_embedding", graph.spec, nodes, {name: stored[name] for name in stored if name != "W_out"})


NETS = {"lif": wide_lif, "recurrent": wide_recurrent, "embedding": tied_embedding, "gru": gru}
SPIKING = ("lif", "recurrent", "embedding")


def with_weights(graph: StepGraph, draw: Callable[[int, int], NDArray[np.float32]]) -> StepGraph:
    """The same network with every weight matrix W[rows, columns] drawn anew."""
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    for found in find_matrices(model):
        matrix = draw(found.rows, found.columns)
        found.tensor.CopyFrom(numpy_helper.from_array(matrix.T.copy() if found.transposed else matrix, found.name))
    return StepGraph(model, graph.spec)


def on_the_grid(graph: StepGraph, precision: str) -> StepGraph:
    """The network with weights that `precision` stores without loss, powers of two times small integers."""
    rng = np.random.default_rng(7)
    largest = STORAGES[precision].largest or 63

    def draw(rows: int, columns: int) -> NDArray[np.float32]:
        spread = rng.normal(0.05, 0.3, (rows, columns)) * largest
        integers = np.clip(np.rint(spread), -largest, largest) + 0.0  # no −0, which no integer holds
        for first in range(0, rows, GROUP):  # the largest number of each group makes the scale
            integers[first] = np.where(integers[first] < 0, -largest, largest)
        return (integers * 2.0 ** np.floor(np.log2(4 / (largest * rows**0.5)))).astype(np.float32)

    return with_weights(graph, draw)


def irregular(graph: StepGraph) -> StepGraph:
    """The network with weights of every size, which no precision below float32 holds."""
    rng = np.random.default_rng(8)
    return with_weights(graph, lambda rows, columns: rng.normal(0.02, 1.5 * rows**-0.5, (rows, columns)).astype("f4"))


def compare(quantised: QuantisedGraph) -> tuple[bool, str]:
    """The forced rule between a probe build and ONNX Runtime on the dequantised graph: its verdict and its text."""
    with load(probe_build(quantised, resolve_target("native"), math="exact")) as session:
        drawn = draw_inputs(session.manifest.layout.inputs, 5, 0, TICKS)
        report = compare_forced(ObservedReference(quantised.graph), session, drawn, TICKS)
        if quantised.graph.spec.spikes:
            assert_fires(session)
    return report.ok, report.text()


@pytest.mark.parametrize("precision", LOSSY)
@pytest.mark.parametrize("net", NETS)
def test_a_stored_step_follows_its_dequantised_graph(net: str, precision: str) -> None:
    """By the forced rule: values within rounding, spikes the same."""
    quantised = quantise(irregular(NETS[net]()), precision)
    assert {choice.storage.name for choice in quantised.weights.choices} == {precision}
    assert compare(quantised)[0], compare(quantised)[1]


@pytest.mark.parametrize("precision", LOSSY)
@pytest.mark.parametrize("net", SPIKING)
def test_exact_sums_are_those_of_onnx_runtime(net: str, precision: str) -> None:
    """Weights that are stored without loss, and sums without rounding: every bit of every tick, running free."""
    graph = on_the_grid(NETS[net](), precision)
    assert quantise(graph, precision).graph.digest == graph.digest
    bundle = build(graph, precision=precision)
    assert {record.precision for record in bundle.manifest.stored} == {precision}
    assert (net == "embedding") == ("embedding" in {kernel.kind for kernel in bundle.manifest.kernels})
    with load(bundle) as session:
        assert_same_run(graph, session, graphs.random_inputs(graph, TICKS))
        assert_fires(session)


@pytest.mark.parametrize("precision", LOSSY)
def test_kernels_agree_to_the_bit_at_every_precision(precision: str) -> None:
    """Event-driven and dense kernels give the same state and outputs with irregular weights, too."""
    graph = irregular(wide_recurrent())
    inputs = graphs.random_inputs(graph, TICKS)
    outputs = [item.name for item in graph.spec.outputs]
    event, dense = (
        hashes(build(graph, kernels=kernels, precision=precision), inputs, outputs) for kernels in ("event", "dense")
    )
    assert event == dense


def test_a_wrong_scale_does_not_pass() -> None:
    """A compiler that stored one scale wrongly would be found: the reference does not go by what is stored."""
    quantised = quantise(irregular(wide_lif()), "int8")
    ((key, stored),) = quantised.weights.matrices.items()
    assert stored.scales is not None
    scales = stored.scales.copy()
    scales[0, 11] *= np.float32(1.001)
    wrong = replace(quantised.weights, matrices={key: replace(stored, scales=scales)})
    assert compare(quantised)[0]
    assert not compare(replace(quantised, weights=wrong))[0]


def test_weights_take_the_room_they_should() -> None:
    """What the manifest says of each weight is what lies in the file; scales count."""
    graph = wide_recurrent()
    sizes = {precision: build(graph, precision=precision).manifest for precision in STORAGES}
    for precision, manifest in sizes.items():
        for record in manifest.stored:
            weights = record.rows * record.columns
            groups = {"int8": 1, "int4": -(-record.rows // GROUP)}.get(precision, 0)
            bits = {"float32": 32, "float16": 16, "int8": 8, "int4": 4}[precision]
            assert record.nbytes == weights * bits // 8 + 4 * groups * record.columns, record
        assert {matrix.precision for matrix in manifest.matrices} == {precision}
        assert sum(matrix.nbytes for matrix in manifest.matrices) == sum(record.nbytes for record in manifest.stored)
        assert abs(manifest.float32_weights_size - sizes["float32"].layout.weights_size) < 64 * 10


def test_a_transposed_convolution_stays_float32_and_says_so() -> None:
    """What no kernel reads in fewer bits keeps its weights to the bit, whatever was asked for."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, 2, 6, 6), "float32", firing_rate=0.2),),
        outputs=(TensorSpec("y", (1, 4, 6, 6), "float32"),),
        states=(StateSpec("v", (1, 4, 6, 6), "float32"),),
        spikes=(SpikeSpec("spike", "fired", (1, 4, 6, 6), 0.1),),
    )
    nodes = [
        helper.make_node("ConvTranspose", ["x", "K"], ["current"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["state.v", "current"], ["membrane"]),
        helper.make_node("GreaterOrEqual", ["membrane", "threshold"], ["fired"]),
        helper.make_node("Cast", ["fired"], ["y"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Sub", ["membrane", "y"], ["next.v"]),
    ]
    kernel = graphs.grid_weights(np.random.default_rng(0), 2, 4, 3, 3, scale=2.0)
    graph = graphs.build("convolution", spec, nodes, {"K": kernel, "threshold": np.float32(1)})
    bundle = build(graph, precision="int8")
    (record,) = bundle.manifest.stored
    assert (record.precision, record.nbytes) == ("float32", kernel.nbytes)
    assert "transposed convolutions" in record.reason
    with load(bundle) as session:
        assert_same_run(graph, session, graphs.random_inputs(graph, TICKS))
        assert_fires(session)
