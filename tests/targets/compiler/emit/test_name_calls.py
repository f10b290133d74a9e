"""Whose every call of a tick is: known by products, spikes, states and weights, never by TVM's names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from onnx import helper

from astroedge.step.spec import StepSpec, TensorSpec
from astroedge.targets.boards.target import resolve_target
from tests.support import graphs
from tests.support.builds import build, build_of
from tests.support.graphs import recurrent_net, token_net


def test_calls_are_named_by_their_modules() -> None:
    """Products have the name of their weight, neurons that of their states and spikes, lists that of what fired."""
    kernels = build_of(recurrent_net, kernels="event").manifest.kernels
    assert all(kernel.module for kernel in kernels if kernel.kind == "event-gemv")
    neurons = {kernel.module for kernel in kernels if "greater_equal" in kernel.operators}
    assert neurons == {"layers.0", "layers.1"}
    lists = [kernel for kernel in kernels if kernel.kind == "active-list"]
    assert {kernel.module for kernel in lists} >= {"layers.0", "layers.1"}
    assert all(kernel.spikes and kernel.row == 4 for kernel in lists)


def test_of_a_table_only_the_rows_picked_are_read() -> None:
    """A call that picks a row of 32 numbers from a table of 17 does not read the table."""
    kernels = build_of(token_net).manifest.kernels
    (pick,) = [kernel for kernel in kernels if "take" in kernel.operators]
    assert pick.module == "lif"
    assert 4 * 32 <= pick.nbytes < 4 * 17 * 32


def test_who_reads_a_part_of_joined_products_is_named_after_its_own() -> None:
    """Two products of one list are one call, named after both; what each gives goes on under its own name."""
    rng = np.random.default_rng(0)
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, 64), "float32", firing_rate=0.1),),
        outputs=tuple(TensorSpec(name, (1, 128), "float32") for name in ("a", "b")),
        states=(),
    )
    nodes = [
        helper.make_node("MatMul", ["x", "one.W.weight"], ["p"]),
        helper.make_node("MatMul", ["x", "two.W.weight"], ["q"]),
        helper.make_node("Relu", ["p"], ["a"]),
        helper.make_node("Exp", ["q"], ["b"]),
    ]
    weights = {name: graphs.grid_weights(rng, 64, 128) for name in ("one.W.weight", "two.W.weight")}
    far = replace(resolve_target("native"), l1_bytes=4096, l2_bytes=4096)
    kernels = build(graphs.build("pair", spec, nodes, weights), far, kernels="event").manifest.kernels
    modules = {kernel.module for kernel in kernels if kernel.kind == "event-gemv"}
    assert len(modules) == 1
    names = next(iter(modules)).split(" + ")
    others = [kernel.module for kernel in kernels if kernel.kind == "element-wise"]
    assert sorted(others) == sorted(names)
