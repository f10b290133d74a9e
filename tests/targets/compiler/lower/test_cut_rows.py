"""Many slices of one array are cut by one kernel, and many runs joined by one, with the bits that they had."""

from __future__ import annotations

import numpy as np
from onnx import helper

from astroedge.runtimes import load
from astroedge.runtimes.checking.reference import ReferenceSession
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StepSpec, TensorSpec
from astroedge.targets.compiler.lower.find_sparsity import find_sparsity
from astroedge.targets.compiler.lower.import_graph import import_graph
from astroedge.targets.compiler.lower.legalize import legalize
from astroedge.targets.precision.quantise_weights import StoredWeights
from astroedge.targets.tir_builder import KERNEL_ATTRIBUTE
from tests.support import graphs
from tests.support.builds import build

ROWS, WIDTH = 7, 18


def rows() -> StepGraph:
    """Rows of `x` in reverse order, the same columns by columns, and the first half's rows again."""
    order = [f"row{place}" for place in range(ROWS)]
    columns = [f"column{place}" for place in range(6)]
    nodes = [
        helper.make_node("Split", ["x", "ones"], order, axis=0),
        *(helper.make_node("Tanh", [name], [f"{name}_tanh"]) for name in order),
        helper.make_node("Concat", [f"{name}_tanh" for name in reversed(order)], ["reversed"], axis=0),
        helper.make_node("Split", ["x", "threes"], columns, axis=1),
        helper.make_node("Concat", columns[::-1], ["columns"], axis=1),
        helper.make_node("Slice", ["x", "from", "to"], ["few"]),
    ]
    shape, few = (ROWS, WIDTH), (2, WIDTH)
    outputs = (TensorSpec("reversed", shape, "float32"), TensorSpec("columns", shape, "float32"))
    spec = StepSpec((TensorSpec("x", shape, "float32"),), (*outputs, TensorSpec("few", few, "float32")), ())
    stored = {"ones": [1] * ROWS, "threes": [3] * 6, "from": [5], "to": [ROWS]}
    return graphs.build("rows", spec, nodes, {name: np.array(item, np.int64) for name, item in stored.items()})


def test_slices_and_concatenations_of_many_runs_are_kernels() -> None:
    """Seven rows are cut by one kernel and joined by one; columns, and a slice of another size, stay what they were."""
    graph = rows()
    step = import_graph(graph, probes=False)
    module, _ = legalize(step, find_sparsity(step, graph), StoredWeights())
    kinds = [str(item.attrs.get(KERNEL_ATTRIBUTE)) for item in module.functions.values() if item.attrs]
    assert (kinds.count("cut"), kinds.count("join")) == (1, 1)
    x = np.random.default_rng(1).standard_normal((3, ROWS, WIDTH)).astype(np.float32)
    with load(build(graph)) as session:
        given, wanted = session.run(x=x), ReferenceSession(graph).run(x=x)
    np.testing.assert_array_equal(given["columns"], wanted["columns"])
    np.testing.assert_array_equal(given["few"], wanted["few"])
    np.testing.assert_allclose(given["reversed"], wanted["reversed"], rtol=0, atol=4e-7)
