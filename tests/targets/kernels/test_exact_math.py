"""exp, log and their kin: within their bound, bit-equal to a second writing, without the C library."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from astroedge.targets.kernels import exact_math
from tests.targets.kernels import reference_math
from tests.targets.kernels.harness import CORTEX_A72, FUSED, RUNNABLE, X86_64_V3, assembly, run, same_bits, unary

# The largest error in units of the last place that the table in exact_math.py promises, and the true function.
FUNCTIONS: dict[str, tuple[float, Callable[[np.ndarray], np.ndarray]]] = {
    "exp": (1, np.exp),
    "expm1": (1.5, np.expm1),
    "log": (1, np.log),
    "log1p": (2.5, np.log1p),
    "tanh": (3, np.tanh),
    "sigmoid": (2.5, lambda x: np.where(x < 0, np.exp(x), 1) / (1 + np.exp(-np.abs(x)))),
    "sin": (0.51, lambda x: np.sin(np.where(np.abs(x) <= 2**20, x, np.nan))),
    "cos": (0.51, lambda x: np.cos(np.where(np.abs(x) <= 2**20, x, np.nan))),
    "erf": (1.5, np.vectorize(math.erf)),
    "rsqrt": (1.5, lambda x: 1 / np.sqrt(x)),
}
SPECIAL = np.array(
    [
        0.0,
        -0.0,
        np.inf,
        -np.inf,
        np.nan,
        1.0,
        -1.0,
        1e-45,
        -1e-45,
        88.72283,
        88.72284,
        -103.97,
        -104.5,
        3e38,
        -3e38,
        0.5,
    ],
    np.float32,
)


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    """Every exponent and sign with random mantissas, then numbers of everyday size and around 1."""
    rng = np.random.default_rng(7)
    count = 1 << 14
    exponents = np.arange(count, dtype=np.uint32) % 512 << 23
    everywhere = (exponents | rng.integers(0, 2**23, count, dtype=np.uint32)).view(np.float32)
    usual = rng.standard_normal(count) * np.exp(rng.uniform(-3, 4.6, count))
    near_one = 1 + rng.standard_normal(count) * 0.4
    return np.concatenate([everywhere, usual.astype(np.float32), near_one.astype(np.float32), SPECIAL])


def _evaluate(name: str, x: np.ndarray, target: dict[str, object]) -> np.ndarray:
    return run(unary(getattr(exact_math, name), len(x)), [x], [np.zeros_like(x)], target)[0]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_is_within_the_documented_bound(name: str, samples: np.ndarray) -> None:
    """Over all exponents, no result is farther from the true value than the table says."""
    bound, true_function = FUNCTIONS[name]
    with np.errstate(all="ignore"):
        true = true_function(samples.astype(np.float64))
        nearest = true.astype(np.float32)
        result = _evaluate(name, samples, RUNNABLE[0])
        step = np.spacing(np.abs(nearest)).astype(np.float64)
        error = np.abs(result.astype(np.float64) - true) / step
    same = (result == nearest) | (np.isnan(result) & np.isnan(nearest))
    assert np.all(same | (error <= bound)), f"{name}: {np.nanmax(np.where(same, 0, error))} ulp"


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("target", RUNNABLE, ids=["native", "oldest"])
def test_bits_equal_a_second_writing_in_numpy(name: str, target: dict[str, object], samples: np.ndarray) -> None:
    """Whatever the vector width, each result has the bits of the same mathematics in NumPy float32."""
    with np.errstate(all="ignore"):
        expected = getattr(reference_math, name)(samples)
    assert same_bits(_evaluate(name, samples, target), expected.astype(np.float32))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("target", [X86_64_V3, CORTEX_A72], ids=["x86-64-v3", "cortex-a72"])
def test_code_is_vectors_without_calls_or_fused_products(name: str, target: dict[str, object]) -> None:
    """The loop calls nothing, fuses no product, and has no scalar arithmetic (one lane at a time)."""
    code = assembly(unary(getattr(exact_math, name), 1024), target)
    assert not FUSED.search(code)
    assert "call" not in code
    assert "\tbl\t" not in code
    scalar = ("vmulss", "vaddss", "vdivss") if target is X86_64_V3 else ("fmul\ts", "fadd\ts", "fdiv\ts")
    assert not any(mnemonic in code for mnemonic in scalar)


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("exp", -np.inf, 0.0),
        ("exp", 88.72284, np.inf),
        ("exp", -103.5, 1e-45),
        ("log", 0.0, -np.inf),
        ("log", -0.0, -np.inf),
        ("log", -1.0, np.nan),
        ("log", np.inf, np.inf),
        ("log1p", -1.0, -np.inf),
        ("tanh", np.inf, 1.0),
        ("tanh", -1e-45, -1e-45),
        ("sigmoid", -np.inf, 0.0),
        ("sigmoid", -88.0, 6.054601e-39),
        ("sin", -0.0, -0.0),
        ("sin", 2.0**20, 0.33049314),
        ("cos", 2.0**20 + 1, np.nan),
        ("cos", np.inf, np.nan),
        ("erf", -np.inf, -1.0),
    ],
)
def test_special_values(name: str, x: float, expected: float) -> None:
    """Infinities, zeros and denormals give what the table says."""
    result = _evaluate(name, np.full(16, x, np.float32), RUNNABLE[0])[0]
    assert same_bits(np.float32([result]), np.float32([expected]))


@pytest.mark.parametrize("exponent", [-3, -1, 0, 1, 2, 3, 7])
def test_power_multiplies_in_the_documented_order(exponent: int) -> None:
    """A whole power is repeated squaring from the lowest bit; a negative one is its inverse."""
    x = np.linspace(-3, 3, 64).astype(np.float32)
    result = run(unary(lambda value: exact_math.power(value, exponent), 64), [x], [np.zeros_like(x)])[0]
    expected, factor, remaining = np.ones_like(x), x, abs(exponent)
    while remaining:
        expected = expected * factor if remaining & 1 else expected
        factor, remaining = factor * factor, remaining >> 1
    with np.errstate(divide="ignore"):
        assert same_bits(result, np.float32(1) / expected if exponent < 0 else expected)
