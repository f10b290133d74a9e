"""Pruned weights give the bits of dense kernels, in fewer bytes."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

import astroedge
from astroedge.runtimes import load
from astroedge.step.graph import StepGraph
from astroedge.step.spec import SpikeSpec, StateSpec, StepSpec, TensorSpec
from astroedge.targets.precision.storage import STORAGES
from tests.support import graphs
from tests.support.builds import assert_fires, build, build_for_teams
from tests.support.kernels.harness import WIDTHS

TICKS = 40
node = helper.make_node


def pruned_net(density: float, dead: int = 0) -> StepGraph:
    """A recurrent layer of 330 units that read each other, and 70 spiking neurons that another layer reads.

    All four matrices keep a share of their weights, and none of the last `dead` rows and columns.
    """
    rng = np.random.default_rng(2)

    def weights(rows: int, columns: int) -> np.ndarray:
        matrix = rng.normal(size=(rows, columns)).astype(np.float32) * (rng.random((rows, columns)) < density)
        if dead:
            matrix[-dead:] = 0
            matrix[:, -dead:] = 0
        return (0.3 * matrix).astype(np.float32)

    nodes = [
        node("MatMul", ["x", "W_in"], ["driven"]),
        node("MatMul", ["state.h", "W_h"], ["recurred"]),
        node("Add", ["driven", "recurred"], ["sum"]),
        node("Tanh", ["sum"], ["next.h"]),
        node("MatMul", ["next.h", "W_s"], ["current"]),
        node("Greater", ["current", "threshold"], ["fired"]),
        node("Cast", ["fired"], ["spikes"], to=1),
        node("MatMul", ["spikes", "W_out"], ["y"]),
    ]
    sizes = {"W_in": (40, 330), "W_h": (330, 330), "W_s": (330, 300), "W_out": (300, 90)}
    constants = {name: weights(*size) for name, size in sizes.items()} | {"threshold": np.array(0.3, np.float32)}
    spec = StepSpec(
        inputs=(TensorSpec("x", (2, 40), "float32"),),
        outputs=(TensorSpec("y", (2, 90), "float32"),),
        states=(StateSpec("h", (2, 330), "float32"),),
        spikes=(SpikeSpec("spike", "fired", (2, 300), 0.1),),
    )
    return graphs.build("pruned_net", spec, nodes, constants)


@pytest.mark.parametrize("precision", STORAGES)
def test_bits_are_those_of_dense_kernels(precision: str) -> None:
    """Batches, recurrent and spiking matrices, dead rows and columns: every kernel gives the same outputs."""
    graph = pruned_net(0.2, dead=20)
    x = 2 * np.random.default_rng(0).normal(size=(TICKS, 2, 40)).astype(np.float32)
    outputs = {}
    for kernels in ("dense", "pruned"):
        bundle = build(graph, kernels=kernels, precision=precision)
        with load(bundle) as session:
            outputs[kernels] = session.run(x=x)["y"]
            assert_fires(session)
        if kernels == "pruned":
            assert {matrix.kernel for matrix in bundle.manifest.matrices} == {"pruned"}
    assert outputs["dense"].any()
    for result in outputs.values():
        assert np.array_equal(result.view(np.uint32), outputs["dense"].view(np.uint32))


def test_every_level_and_team_has_the_same_bits() -> None:
    """Lists on the oldest processors, lanes on the newest, divided among two threads or not."""
    graph = pruned_net(0.2, dead=20)
    x = np.random.default_rng(0).normal(size=(TICKS, 2, 40)).astype(np.float32)
    outputs = set()
    levels = list(WIDTHS)
    for target in {levels[0], levels[-1]}:
        bundle = build_for_teams(graph, target, "pruned")
        for threads in (1, 2):
            with load(bundle, threads=threads) as session:
                outputs.add(session.run(x=x)["y"].tobytes())
    assert len(outputs) == 1


def test_few_weights_left_are_stored_as_lists() -> None:
    """At 98 % zeros compile chooses lists where no spike tensor is read, and the result agrees with ONNX Runtime."""
    manifest = astroedge.compile(pruned_net(0.02), check_ticks=20).manifest
    pruned = [matrix for matrix in manifest.matrices if matrix.kernel == "pruned"]
    assert {(matrix.rows, matrix.columns) for matrix in pruned} >= {(40, 330), (330, 330), (330, 300)}
    assert sum(matrix.nbytes for matrix in pruned) < 0.12 * sum(4 * matrix.rows * matrix.columns for matrix in pruned)


def test_dead_outputs_keep_their_places() -> None:
    """A matrix four of five whose outputs are dead is stored in another order of columns; the outputs are in theirs."""
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(300, 200)).astype(np.float32)
    weights[:, rng.permutation(200)[:160]] = 0
    spec = StepSpec(
        inputs=(TensorSpec("x", (2, 300), "float32"),),
        outputs=(TensorSpec("y", (2, 200), "float32"),),
        states=(StateSpec("h", (2, 300), "float32"),),
    )
    nodes = [node("Add", ["state.h", "x"], ["next.h"]), node("MatMul", ["next.h", "W"], ["y"])]
    graph = graphs.build("dead_outputs", spec, nodes, {"W": weights})
    x = rng.normal(size=(10, 2, 300)).astype(np.float32)
    outputs = []
    for kernels in ("dense", "pruned"):
        with load(build(graph, kernels=kernels)) as session:
            outputs.append(session.run(x=x)["y"].view(np.uint32))
    assert np.array_equal(*outputs)


def test_zeros_meet_a_state_that_is_infinite() -> None:
    """A state that grows beyond float32 makes the same NaNs as it does by dense kernels."""
    weights = np.zeros((60, 60), np.float32)
    weights[0, :30] = 2.0
    weights[1, 30:] = -3.0
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, 60), "float32"),),
        outputs=(TensorSpec("y", (1, 60), "float32"),),
        states=(StateSpec("h", (1, 60), "float32"),),
    )
    nodes = [
        node("Add", ["state.h", "x"], ["sum"]),
        node("Mul", ["sum", "sum"], ["next.h"]),
        node("MatMul", ["next.h", "W"], ["y"]),
    ]
    graph = graphs.build("growing", spec, nodes, {"W": weights})
    x = np.full((12, 1, 60), 100.0, np.float32)
    outputs = []
    for kernels in ("dense", "pruned"):
        with load(build(graph, kernels=kernels)) as session:
            outputs.append(session.run(x=x)["y"])
    assert np.isnan(outputs[0]).any()
    assert np.array_equal(*outputs, equal_nan=True)
