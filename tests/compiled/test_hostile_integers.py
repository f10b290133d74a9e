"""Integers that no operator defines a result for crash no process and read no foreign memory."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import NodeProto, helper

from astroedge.runtimes import load
from astroedge.step.spec import StepSpec, TensorSpec
from tests.support import graphs
from tests.support.builds import build

ROWS, WIDTH = 4, 8
GATHERS: dict[str, tuple[NodeProto, tuple[int, ...], tuple[int, ...]]] = {
    "rows": (helper.make_node("Gather", ["x", "i"], ["y"], axis=0), (3,), (3, WIDTH)),
    "elements": (helper.make_node("GatherElements", ["x", "i"], ["y"], axis=1), (ROWS, WIDTH), (ROWS, WIDTH)),
    "slices": (helper.make_node("GatherND", ["x", "i"], ["y"]), (3, 1), (3, WIDTH)),
    "points": (helper.make_node("GatherND", ["x", "i"], ["y"]), (3, 2), (3,)),
}


@pytest.mark.parametrize("case", GATHERS)
def test_a_gather_stays_in_its_array(case: str) -> None:
    """An index far outside reads the nearest element."""
    node, indices, result = GATHERS[case]
    spec = StepSpec(
        inputs=(TensorSpec("x", (ROWS, WIDTH), "float32"), TensorSpec("i", indices, "int64")),
        outputs=(TensorSpec("y", result, "float32"),),
        states=(),
    )
    x = np.arange(ROWS * WIDTH, dtype=np.float32).reshape(ROWS, WIDTH)
    with load(build(graphs.build("gather", spec, [node]))) as session:
        high, low = (session.step(x=x, i=np.full(indices, far))["y"] for far in (2**40, -(2**40)))
    ends = {"elements": (x[:, -1:], x[:, :1]), "points": (x[-1, -1], x[0, 0])}
    last, first = ends.get(case, (x[-1], x[0]))
    assert (high == last).all()
    assert (low == first).all()


DIVISORS = np.array([0, -1, 3, -3, 0, -1, 7, 1, 0], np.int64)


@pytest.mark.parametrize("dtype", ["int32", "int64", "int8", "uint8"])
def test_a_division_never_traps(dtype: str) -> None:
    """Division by zero and of the lowest integer by −1 have a result; all others are the operator's."""
    tensors = [TensorSpec(name, (9,), dtype) for name in ("a", "b", "q", "r")]
    spec = StepSpec(inputs=tuple(tensors[:2]), outputs=tuple(tensors[2:]), states=())
    nodes = [helper.make_node("Div", ["a", "b"], ["q"]), helper.make_node("Mod", ["a", "b"], ["r"])]
    low = np.iinfo(dtype).min
    a, b = np.array([5, low, 100, 100, low, 9, -50, low, 0]).astype(dtype), DIVISORS.astype(dtype)
    with load(build(graphs.build("division", spec, nodes))) as session:
        given = session.step(a=a, b=b)
    for index, (x, y) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
        divisor = 1 if y == 0 or (x == low and y == -1) else y
        quotient = abs(x) // abs(divisor) * (1 if (x < 0) == (divisor < 0) else -1)
        assert given["q"][index] == quotient, (x, y)
        assert given["r"][index] == x % divisor, (x, y)
