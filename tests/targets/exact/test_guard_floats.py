"""Float differences and comparisons mean what they say, whatever the simplifier believes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.exact.guard_floats import guard_floats
from astroedge.targets.tir_builder import kernel
from tests.support.kernels.harness import build, call, same_bits

X = np.array([1e-3, -2.5, 0.1, np.inf, -np.inf, np.nan, 0.0, 3.3e-7], np.float32)


def _pointwise(function: Callable[[Any], Any], dtype: str) -> tirx.PrimFunc:
    """Kernel (x, y): y[i] = function(x[i])."""
    with kernel("pointwise") as built:
        x, y = built.argument("x", (len(X),), "float32"), built.argument("y", (len(X),), dtype)
        with tir.vectorized(0, len(X)) as index:
            tir.buffer_store(y, function(x[index]), [index])
    return built.function


CASES: dict[str, tuple[Callable[[Any], Any], Callable[[np.ndarray], np.ndarray]]] = {
    "a constant added and taken away rounds": (lambda x: (x + 3.0) - tirx.const(3.0, "float32"), lambda x: x + 3 - 3),
    "infinity minus itself is no number": (lambda x: x - x, lambda x: x - x),
    "taking away a sum rounds": (lambda x: x - (tirx.const(3.0, "float32") + x), lambda x: x - (3 + x)),
    "a number that is NaN does not equal itself": (lambda x: tirx.EQ(x, x), lambda x: np.equal(x, x)),
    "a number that is NaN is unequal to itself": (lambda x: tirx.NE(x, x), lambda x: np.not_equal(x, x)),
    "NaN is unequal to a number": (lambda x: tirx.NE(x, tirx.const(1.0, "float32")), lambda x: np.not_equal(x, 1)),
}


@pytest.mark.parametrize("name", CASES)
def test_guarded_arithmetic_is_ieee(name: str) -> None:
    """The compiled expression gives the bits NumPy gives."""
    function, expected = CASES[name]
    with np.errstate(invalid="ignore"):
        right = expected(X)
    guarded = guard_floats(_pointwise(function, str(right.dtype)))
    assert same_bits(call(build(guarded), [X], [np.zeros_like(right)])[0], right)


@pytest.mark.parametrize("name", CASES)
def test_unguarded_arithmetic_is_not(name: str) -> None:
    """Without the guard TVM changes each of these, which is why it is needed."""
    function, expected = CASES[name]
    with np.errstate(invalid="ignore"):
        right = expected(X)
    assert not same_bits(call(build(_pointwise(function, str(right.dtype))), [X], [np.zeros_like(right)])[0], right)


def test_integer_differences_stay() -> None:
    """Index arithmetic is exact and keeps its simplifier."""
    with kernel("indices") as built:
        y = built.argument("y", (4,), "int32")
        with tir.serial(0, 4) as index:
            tir.buffer_store(y, index - (index - 1), [index])
    assert "fence" not in str(guard_floats(built.function))
