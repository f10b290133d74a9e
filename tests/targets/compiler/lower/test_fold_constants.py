"""Arithmetic on constants is done with NumPy, and with what comes out of it the same operators fold as before."""

from __future__ import annotations

import numpy as np
import tvm
from tvm import relax
from tvm.script import ir as I
from tvm.script import relax as R

from astroedge.targets.compiler.lower.fold_constants import fold_constants


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


def test_division_of_integers_is_left_alone() -> None:
    """It rounds in more than one way, and by 0 it has no result."""

    @I.ir_module
    class Module:
        @R.function
        def main(x: R.Tensor((1,), "int64")) -> R.Tensor((1,), "int64"):
            with R.dataflow():
                q = R.divide(R.const(7, "int64"), R.const(2, "int64"))
                y = R.add(x, q)
                R.output(y)
            return y

    assert [value.op.name for value in _values(Module)] == ["relax.divide", "relax.add"]
