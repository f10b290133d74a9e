"""The functions of two numbers that are computed in float64: powers and remainders."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.exact import wide_math
from astroedge.targets.exact.expressions import Expression
from astroedge.targets.tir_builder import kernel, load, store
from tests.support.kernels.harness import CORTEX_A72, FUSED, X86_64_V3, assembly, run, same_bits
from tests.support.kernels.true_math import samples

Function = Callable[[Expression, Expression], Expression]
LANES = 16
BASES = (0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -3.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3e38)
EXPONENTS = (*BASES, 3.0, -2.0, 16777215.0, 16777216.0, 2.5, -0.25)


def _binary(function: Function, size: int, dtype: str = "float32") -> tirx.PrimFunc:
    """Kernel (x, y, z): z = function(x, y), in vectors."""
    with kernel("binary") as built:
        x, y, z = (built.argument(name, (size,), dtype) for name in "xyz")
        with tir.serial(0, size // LANES) as index:
            start = index * LANES
            store(z, start, LANES, function(load(x, start, LANES), load(y, start, LANES)))
    return built.function


def _apply(function: Function, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    ones = np.ones(-len(x) % LANES, x.dtype)
    padded = [np.concatenate([side, ones]) for side in (x, y)]
    return run(_binary(function, len(padded[0]), str(x.dtype)), padded, [np.zeros_like(padded[0])])[0][: len(x)]


@pytest.fixture(scope="module")
def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Numbers of every exponent beside each other, and special ones in all pairs."""
    drawn = samples(256)
    special = np.array([(x, y) for x in BASES for y in EXPONENTS], np.float32)
    x, y = (
        np.concatenate([drawn, special[:, 0]]),
        np.concatenate([np.random.default_rng(3).permutation(drawn), special[:, 1]]),
    )
    return x, y


def test_power_has_the_special_values_of_c() -> None:
    """Zeros, infinities, NaN, negative bases, odd, even and broken exponents: all pairs as in C, signs of zero too."""
    x, y = (np.ascontiguousarray(side) for side in np.array([(x, y) for x in BASES for y in EXPONENTS], np.float32).T)
    with np.errstate(all="ignore"):
        expected = np.power(x.astype(np.float64), y.astype(np.float64)).astype(np.float32)
    assert same_bits(_apply(wide_math.power, x, y), expected)


def test_power_is_within_its_bound() -> None:
    """Over bases of every exponent, with exponents that keep the result finite, the error is at most 0.51 ulp."""
    base = np.abs(samples(256))
    base = base[(base > 0) & np.isfinite(base) & (base != 1)]
    rng = np.random.default_rng(5)
    exponent = (rng.uniform(-150, 128, len(base)) / np.log2(base.astype(np.float64))).astype(np.float32)
    with np.errstate(all="ignore"):
        true = np.power(base.astype(np.float64), exponent.astype(np.float64))
        nearest = true.astype(np.float32)
    given = _apply(wide_math.power, base, exponent)
    finite = np.isfinite(nearest)
    assert finite.sum() > 100_000
    assert np.array_equal(given[~finite], nearest[~finite])
    error = np.abs(given[finite] - true[finite]) / np.spacing(nearest[finite]).astype(np.float64)
    assert error.max() <= 0.51


def test_remainder_is_exact(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    """However far the exponents lie apart, the remainder is C's, with the sign of the dividend."""
    with np.errstate(all="ignore"):
        expected = np.fmod(*pairs)
    assert same_bits(_apply(wide_math.remainder, *pairs), expected)


@pytest.mark.guard
@pytest.mark.parametrize("function", [wide_math.power, wide_math.remainder])
@pytest.mark.parametrize("target", [X86_64_V3, CORTEX_A72], ids=["x86-64-v3", "cortex-a72"])
def test_code_calls_nothing(function: Function, target: dict[str, object]) -> None:
    """No call of the C library and no fused product.

    A guard: these compute the same numbers here, and others on other processors.
    """
    code = assembly(_binary(function, 64), target)
    assert not FUSED.search(code)
    assert "call" not in code
    assert "\tbl\t" not in code
