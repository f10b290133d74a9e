"""exp, log and their kin: within their bound, bit-equal to a second writing, without the C library."""

from __future__ import annotations

import numpy as np
import pytest
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.exact import exact_math
from astroedge.targets.tir_builder import kernel, load, splat, store
from tests.support.kernels import reference_math
from tests.support.kernels.harness import (
    CORTEX_A72,
    FUSED,
    RUNNABLE,
    WIDTHS,
    X86_64_V3,
    assembly,
    run,
    same_bits,
    unary,
)
from tests.support.kernels.true_math import FUNCTIONS, errors, samples

LANES = 16


@pytest.fixture(scope="module")
def numbers() -> np.ndarray:
    """A thousand mantissas of every sign and exponent, everyday numbers, neighbours of every switch: whole vectors."""
    drawn = samples()
    return np.concatenate([drawn, np.zeros(-len(drawn) % LANES, np.float32)])


def _evaluate(name: str, x: np.ndarray, target: dict[str, object]) -> np.ndarray:
    return run(unary(getattr(exact_math, name), len(x), LANES), [x], [np.zeros_like(x)], target)[0]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_is_within_the_documented_bound(name: str, numbers: np.ndarray) -> None:
    """Over all exponents, no result is farther from the true value than the table says."""
    distance = errors(name, numbers, _evaluate(name, numbers, RUNNABLE[0]))
    worst = int(distance.argmax())
    assert distance[worst] <= FUNCTIONS[name][0], f"{name}({numbers[worst]!r}): {distance[worst]} ulp"


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("width", WIDTHS)
def test_bits_equal_a_second_writing_in_numpy(name: str, width: str, numbers: np.ndarray) -> None:
    """Whatever the vector width, each result has the bits of the same mathematics in NumPy float32."""
    with np.errstate(all="ignore"):
        expected = getattr(reference_math, name)(numbers)
    assert same_bits(_evaluate(name, numbers, WIDTHS[width]), expected.astype(np.float32))


@pytest.mark.parametrize("width", WIDTHS)
def test_quotients_are_rounded_once(width: str, numbers: np.ndarray) -> None:
    """A division gives the float32 nearest to the quotient, by numbers of every exponent and by constants."""
    rng = np.random.default_rng(3)
    x, divisors = numbers, rng.permutation(numbers)
    with kernel("divide") as built:
        left, right = (built.argument(name, (len(x),), "float32") for name in "xd")
        results = [built.argument(f"y{index}", (len(x),), "float32") for index in range(4)]
        with tir.serial(0, len(x) // LANES) as index:
            value = load(left, index * LANES, LANES)
            others = [load(right, index * LANES, LANES), *(splat(np.float32(number), LANES) for number in (3, 8, 0.1))]
            for result, other in zip(results, others, strict=True):
                store(result, index * LANES, LANES, value / other)
    given = run(built.function, [x, divisors], [np.zeros_like(x)] * 4, WIDTHS[width])
    with np.errstate(all="ignore"):
        for result, divisor in zip(given, (divisors, 3, 8, 0.1), strict=True):
            assert same_bits(result, (x.astype(np.float64) / np.float32(divisor).astype(np.float64)).astype(np.float32))


@pytest.mark.guard
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("target", [X86_64_V3, CORTEX_A72], ids=["x86-64-v3", "cortex-a72"])
def test_code_is_vectors_without_calls_or_fused_products(name: str, target: dict[str, object]) -> None:
    """The loop calls nothing, fuses no product, and has no scalar arithmetic (one lane at a time).

    A guard: slow code computes the same numbers, and a fused product shows on other processors.
    """
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


@pytest.mark.parametrize("exponent", [2, 3, 7, 16, 33, 64, -1, -2, -5, -64])
def test_error_of_a_power_grows_with_its_exponent(exponent: int) -> None:
    """A power is within |n| units of the last place, as long as nothing on the way overflows or is denormal."""
    x = samples(512)
    with np.errstate(all="ignore"):
        size = np.abs(x.astype(np.float64)) ** abs(exponent)
    x = x[(size < 1e38) & (size > 1e-37) & np.isfinite(x)]
    x = x[: len(x) // LANES * LANES]
    result = run(unary(lambda value: exact_math.power(value, exponent), len(x)), [x], [np.zeros_like(x)])[0]
    true = x.astype(np.longdouble) ** exponent
    assert len(x) > 1000
    assert np.all(np.abs(result - true) <= abs(exponent) * np.spacing(np.abs(true.astype(np.float32))))
