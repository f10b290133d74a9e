"""What is made of constants alone is a constant behind import, with the bits that ONNX Runtime gives it."""

from __future__ import annotations

import numpy as np
import tvm
from onnx import helper
from tvm import relax
from tvm.script import ir as I
from tvm.script import relax as R

from astroedge.runtimes import load
from astroedge.runtimes.checking.reference import ReferenceSession
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StepSpec, TensorSpec
from astroedge.targets.compiler.lower.fold_constants import fold_constants
from astroedge.targets.compiler.lower.import_graph import import_graph
from tests.support import graphs
from tests.support.builds import build

WEIGHTS = np.random.default_rng(6).standard_normal((6, 4)).astype(np.float32)


def made_of_constants() -> StepGraph:
    """`x` times a matrix that is moved, sliced, picked from, rooted, divided and chosen from, as another one is."""
    nodes = [
        helper.make_node("Transpose", ["weights"], ["turned"], perm=[1, 0]),
        helper.make_node("Reshape", ["turned", "sizes"], ["wide"]),
        helper.make_node("Slice", ["wide", "two", "five", "one"], ["few"]),
        helper.make_node("Gather", ["few", "picked"], ["rows"], axis=0),
        helper.make_node("Mul", ["rows", "rows"], ["squares"]),
        helper.make_node("Add", ["squares", "eps"], ["sums"]),
        helper.make_node("Sqrt", ["sums"], ["roots"]),
        helper.make_node("Div", ["rows", "roots"], ["quotients"]),
        helper.make_node("Greater", ["quotients", "eps"], ["above"]),
        helper.make_node("Where", ["above", "quotients", "roots"], ["chosen"]),
        helper.make_node("Exp", ["chosen"], ["grown"]),  # left to TVM
        helper.make_node("MatMul", ["x", "chosen"], ["y"]),
        helper.make_node("Mul", ["x", "grown"], ["z"]),
    ]
    stored = {
        **{"weights": WEIGHTS, "sizes": np.array([8, 3]), "two": np.array([2]), "five": np.array([5])},
        **{"one": np.array([0]), "picked": np.array([2, -3, 0]), "eps": np.float32(0.25)},
    }
    shape = (3, 3)
    outputs = (TensorSpec("y", shape, "float32"), TensorSpec("z", shape, "float32"))
    spec = StepSpec((TensorSpec("x", shape, "float32"),), outputs, ())
    return graphs.build("folded", spec, nodes, stored)


def test_constants_are_folded() -> None:
    """Only what reads the input is left, and its results are those of the unfolded graph."""
    graph = made_of_constants()
    main = import_graph(graph, probes=False).module["main"]
    calls = [binding.value for block in main.body.blocks for binding in block.bindings]
    names = [call.op.name for call in calls if isinstance(call, tvm.relax.Call)]
    assert sorted(names) == ["relax.matmul", "relax.multiply"]
    x = np.round(np.random.default_rng(7).standard_normal((2, 3, 3)) * 8).astype(np.float32)
    wanted = ReferenceSession(graph).run(x=x)
    with load(build(graph)) as session:
        given = session.run(x=x)
    for name in wanted:
        np.testing.assert_allclose(given[name], wanted[name], rtol=0, atol=2e-6)


def _values(module: tvm.IRModule) -> list[relax.Expr]:
    folded = relax.transform.CanonicalizeBindings()(fold_constants(module))
    return [binding.value for block in folded["main"].body.blocks for binding in block.bindings]


def test_a_chain_of_constants_is_one_number() -> None:
    """Additions, quotients, roots and changes of shape of float constants leave one multiplication."""

    @I.ir_module
    class Module:
        @R.function
        def main(x: R.Tensor((1, 2), "float32")) -> R.Tensor((1, 2), "float32"):
            with R.dataflow():
                a = R.add(R.const(np.array([2.0, 7.0], "float32")), R.const(0.25, "float32"))
                b = R.divide(R.const(1.0, "float32"), R.sqrt(a))
                c = R.expand_dims(b, axis=[0])
                y = R.multiply(x, c)
                R.output(y)
            return y

    product = _values(Module)[-1]
    expected = np.float32(1) / np.sqrt(np.array([[2.25, 7.25]], np.float32))
    assert product.op.name == "relax.multiply"
    np.testing.assert_array_equal(product.args[1].value.numpy(), expected)


def test_an_index_counted_from_a_shape_is_a_number() -> None:
    """The extent of an axis, picked from a shape and added to, keeps its 64 bits."""

    @I.ir_module
    class Module:
        @R.function
        def main(x: R.Tensor((3, 5), "float32")) -> R.Tensor((5,), "float32"):
            with R.dataflow():
                extent = R.take(R.shape_to_tensor(R.shape_of(x)), R.const(0, "int64"), axis=0)
                last = R.add(extent, R.const(-1, "int64"))
                index = R.where(R.less(last, R.const(0, "int64")), R.const(0, "int64"), last)
                y = R.take(x, index, axis=0)
                R.output(y)
            return y

    take = _values(Module)[-1]
    assert take.op.name == "relax.take"
    assert (str(take.args[1].ty.dtype.dtype), int(take.args[1].value.numpy())) == ("int64", 2)
