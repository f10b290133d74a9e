"""Calls of the C library's mathematics become exact expressions, or are refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tvm import te, tirx, topi

from astroedge.errors import UnsupportedOpError
from astroedge.targets.exact.exact_intrinsics import exact_intrinsics
from astroedge.targets.exact.expressions import Expression
from tests.support.kernels import reference_math
from tests.support.kernels.harness import operator, run, same_bits

VALUES = np.array([0.0, -1.0, 0.5, 2.5, -2.5, 3.5, np.nan, np.inf, -np.inf, 3e9, 1e-40, 20.0], np.float32)


def _apply(function: Callable[[te.Tensor], te.Tensor], dtype: str = "float32") -> np.ndarray:
    x = te.placeholder((len(VALUES),), dtype, name="x")
    result = function(x)
    with np.errstate(over="ignore"):
        return run(operator([x], [result]), [VALUES.astype(dtype)], [np.zeros(len(VALUES), str(result.dtype))])[0]


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sigmoid", "erf", "rsqrt"])
def test_operators_compute_the_exact_functions(name: str) -> None:
    """What TVM lowers to an intrinsic gives the bits of the exact function."""
    with np.errstate(all="ignore"):
        expected = getattr(reference_math, name)(VALUES)
    assert same_bits(_apply(getattr(topi, name)), expected)


def test_nested_functions_stay_small() -> None:
    """A function of a function of a function is built from named results, not from copies of its argument."""
    x = te.placeholder((4,), "float32", name="x")
    func = exact_intrinsics(operator([x], [topi.tanh(topi.sigmoid(topi.exp(x)))]))
    assert len(str(func)) < 30_000


def test_half_precision_is_computed_in_single() -> None:
    """A float16 function is the float32 function, rounded once."""
    with np.errstate(all="ignore"):
        expected = reference_math.exp(VALUES.astype(np.float16).astype(np.float32)).astype(np.float16)
    assert same_bits(_apply(topi.exp, "float16"), expected)


@pytest.mark.parametrize("rounding", [tirx.round, tirx.nearbyint])
def test_rounding_is_to_even(rounding: Callable[[Expression], Expression]) -> None:
    """ONNX's Round takes the even neighbour of a half, whichever of its two names TVM uses."""
    assert same_bits(_apply(lambda x: te.compute(x.shape, lambda i: rounding(x[i]))), np.rint(VALUES))


def test_classes_of_numbers() -> None:
    """isnan, isinf and isfinite tell NaN and infinity apart."""
    assert np.array_equal(_apply(topi.isnan), np.isnan(VALUES))
    assert np.array_equal(_apply(topi.isinf), np.isinf(VALUES))
    assert np.array_equal(_apply(topi.isfinite), np.isfinite(VALUES))


@pytest.mark.parametrize(("exponent", "expected"), [(3.0, VALUES * VALUES * VALUES), (2.0, VALUES * VALUES)])
def test_whole_powers_are_products(exponent: float, expected: np.ndarray) -> None:
    """A constant whole exponent multiplies."""
    with np.errstate(all="ignore"):
        assert same_bits(_apply(lambda x: topi.power(x, tirx.const(exponent, "float32"))), expected)


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [("int32", -(2**31), 2**31 - 128), ("int8", -128, 127), ("uint8", 0, 255), ("int64", -(2**63), 2**63 - 2**39)],
)
def test_conversion_to_an_integer_keeps_to_its_range(dtype: str, low: int, high: int) -> None:
    """What an integer cannot hold becomes the nearest it can (for NaN the lowest), on every processor."""
    result = _apply(lambda x: topi.cast(x, dtype))
    finite = [low if np.isnan(value) else int(min(max(float(value), low), high)) for value in VALUES]
    assert result.tolist() == finite


def test_a_function_without_exact_kernel_is_refused() -> None:
    """The message names the function and the way out."""
    x = te.placeholder((4,), "float32", name="x")
    with pytest.raises(UnsupportedOpError, match=r"needs exp10.*math='fast'"):
        exact_intrinsics(operator([x], [te.compute((4,), lambda i: tirx.exp10(x[i]))]))


@pytest.mark.parametrize("exponent", [2.5, -0.5, 65.0])
def test_other_constant_powers_are_general_powers(exponent: float) -> None:
    """An exponent that is broken or large goes the way of one that is computed, within 0.51 ulp."""
    with np.errstate(all="ignore"):
        expected = np.power(VALUES.astype(np.float64), exponent).astype(np.float32)
    given = _apply(lambda x: topi.power(x, tirx.const(exponent, "float32")))
    np.testing.assert_allclose(given, expected, rtol=1.2e-7)


def test_double_precision_is_refused() -> None:
    """The exact functions are float32; float64 would need others."""
    x = te.placeholder((4,), "float64", name="x")
    with pytest.raises(UnsupportedOpError, match="float64"):
        exact_intrinsics(operator([x], [topi.exp(x)]))


def test_a_remainder_of_floats_is_exact() -> None:
    """It is C's `fmod`, in float16 too, without calling it."""
    for dtype in ("float32", "float16"):
        with np.errstate(all="ignore"):
            expected = np.fmod(VALUES.astype(dtype), np.dtype(dtype).type(0.75))
        given = _apply(lambda x: topi.mod(x, tirx.const(0.75, x.dtype)), dtype)
        assert same_bits(given, expected)
