"""Masked reads and writes of a model become choices between whole tensors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

import astroedge
from astroedge.errors import UnsupportedOpError
from astroedge.exporters.graph.rewrite_picks import rewrite_picks


def _written(v: Tensor, mask: Tensor, value: Tensor | float) -> Tensor:
    copy = v.clone()
    copy[mask] = value
    return copy


class Masked(nn.Module):
    """A leaky membrane whose outputs are what `how` makes of it and of its spikes."""

    def __init__(self, how: Callable[[Tensor, Tensor], object]) -> None:
        super().__init__()
        self.how = how
        self.register_buffer("v", torch.zeros(2, 4))

    def forward(self, x: Tensor) -> object:
        """One tick."""
        self.v = 0.5 * self.v + x
        return self.how(self.v, self.v > 0.25)


def _ways(v: Tensor, z: Tensor) -> tuple[Tensor, ...]:
    """Writes of a number, of elements from the same places, changed or not, and to rows; a sum and a mean."""
    numbers = _written(v, z, 0.0), _written(v, z.sum(1) > 1, 1.0)
    elements = _written(v, z, (-v)[z]), _written(v, z, v[z] * 0.5 - 1)
    return (*numbers, *elements, v[z].sum()[None], v[v != 0].mean()[None])


def test_masked_reads_and_writes_are_choices() -> None:
    """The step equals the model, which export compares, and nothing in it has a size that depends on data."""
    ticks = [(torch.from_numpy(np.random.default_rng(n).normal(size=(2, 4)).astype(np.float32)),) for n in range(3)]
    graph = astroedge.export(Masked(_ways).eval(), ticks[0], examples=ticks)
    assert {"NonZero", "ScatterND", "GatherND"}.isdisjoint(node.op_type for node in graph.model.graph.node)
    assert len(graph.spec.outputs) == 6
    assert graph.parity is not None


def test_a_count_has_the_size_that_its_reader_has() -> None:
    """`torch.bincount` with a least length makes as many bins as that, where a sum with a state leaves no other."""

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("v", torch.zeros(8))

        def forward(self, x: Tensor) -> Tensor:
            self.v = 0.5 * self.v + torch.bincount(x, minlength=8)
            return self.v

    graph = astroedge.export(Counting().eval(), (torch.tensor([1, 7, 1, 0]),))
    assert "ScatterElements" in {node.op_type for node in graph.model.graph.node}
    assert graph.spec.outputs[0].shape == (8,)


def test_other_picks_are_still_refused() -> None:
    """The picked elements themselves have no fixed number."""
    with pytest.raises(UnsupportedOpError, match="NonZero"):
        astroedge.export(Masked(lambda v, z: v[z]).eval(), (torch.ones(2, 4),))


def test_a_known_compress_is_a_gather() -> None:
    """Rows, or elements of the flat array, chosen by a constant are the same ones; others stay."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])
    sizes = {"rows": [2, "some"], "flat": ["few"]}
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in sizes.items()]
    nodes = [
        helper.make_node("Compress", ["x", "c"], ["rows"], name="m/rows", axis=1),
        helper.make_node("Compress", ["x", "c"], ["flat"], name="m/flat"),
    ]
    chosen = numpy_helper.from_array(np.array([True, False, True]), "c")
    graph = helper.make_graph(nodes, "compress", [x], results, [chosen])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    rewrite_picks(model)
    assert {node.op_type for node in model.graph.node} == {"Gather", "Reshape"}
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rows, flat = session.run(None, {"x": np.arange(6, dtype=np.float32).reshape(2, 3)})
    assert rows.tolist() == [[0, 2], [3, 5]]
    assert flat.tolist() == [0, 2]
