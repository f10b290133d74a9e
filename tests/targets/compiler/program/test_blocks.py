"""Views and in-place updates are recognised from the blocks of a function, and only they."""

from __future__ import annotations

import tvm
from tvm import te, tirx

from astroedge.targets.compiler.program.blocks import is_pointwise, is_reshape
from astroedge.targets.kernels.products.active_list import active_list


def _function(*tensors: te.Tensor) -> tirx.PrimFunc:
    return te.create_prim_func(list(tensors))


def test_an_element_wise_update_may_overwrite_its_operand() -> None:
    """y[i, j] = x[i, j] · a[j] depends on x at its own index only, and on a elsewhere."""
    x, a = te.placeholder((2, 8), "float32", "x"), te.placeholder((8,), "float32", "a")
    y = te.compute((2, 8), lambda i, j: x[i, j] * a[j])
    assert is_pointwise(_function(x, a, y), 0)
    assert not is_pointwise(_function(x, a, y), 1)


def test_a_value_passed_on_at_another_index_may_not() -> None:
    """A reversal behind an element-wise block still moves elements."""
    x = te.placeholder((8,), "float32", "x")
    doubled = te.compute((8,), lambda i: x[i] * 2)
    assert not is_pointwise(_function(x, te.compute((8,), lambda i: doubled[7 - i])), 0)
    assert is_pointwise(_function(x, te.compute((8,), lambda i: doubled[i] + 1)), 0)


def test_a_transpose_of_a_square_may_not() -> None:
    """Equal shapes are not enough."""
    x = te.placeholder((4, 4), "float32", "x")
    assert not is_pointwise(_function(x, te.compute((4, 4), lambda i, j: x[j, i])), 0)


def test_a_sum_may_not() -> None:
    """A reduction reads more than its own index."""
    x = te.placeholder((4, 4), "float32", "x")
    axis = te.reduce_axis((0, 4))
    assert not is_pointwise(_function(x, te.compute((4,), lambda i: te.sum(x[i, axis], axis))), 0)


def test_a_finished_kernel_may_not() -> None:
    """Loops written by hand are not looked into."""
    assert not is_pointwise(active_list(16, "float32"), 0)


def test_reshapes_are_views_and_transposes_are_not() -> None:
    """A chain of reshape and expand_dims moves no element."""
    x = te.placeholder((2, 8), "float32", "x")
    assert is_reshape(_function(x, tvm.topi.expand_dims(tvm.topi.reshape(x, (4, 4)), 0)))
    assert not is_reshape(_function(x, tvm.topi.transpose(x)))
