"""exp, log, tanh and their kin, with the same bits on every processor and no call of the C library.

Each function takes a float32 expression (scalar or vector) and returns one. It is built only of operations that IEEE
754 defines to the last bit: + − ×, division, square root, rounding to an integer, comparison, and shifts of the bit
pattern. Every product is fenced here, so that neither TVM's simplifier (which is unsafe for floats: it turns
`(x + c) - c` into `x`) nor a fused multiply-add can change a result.

| function | largest error, ulp | special values |
|---|---|---|
| exp | 1.1 | exp(−inf) = 0, overflow to inf above 88.72, denormal results rounded once |
| expm1 | 1.5 | expm1(−0) = −0 |
| log | 1 | log(±0) = −inf, log(x < 0) = NaN, denormal arguments exact |
| log1p | 2.5 | log1p(−1) = −inf |
| tanh | 3 | tanh(x) = x for tiny x, ±1 at ±inf |
| sigmoid | 2.5 | 0 at −inf (through denormals), 1 at inf |
| erf | 1.5 | ±1 at ±inf |
| rsqrt | 1.5 | 1/sqrt(x): two operations, each correctly rounded |
| sin, cos, tan | 0.51 | NaN beyond ±2²⁰ and at ±inf |
| asin, acos, atan | 0.51 | asin and acos are NaN beyond ±1 |
| sinh, cosh | 0.51 | overflow to inf above 89.4 |
| asinh, acosh, atanh | 0.51 | acosh(x < 1) = NaN, atanh(±1) = ±inf, NaN beyond |

A NaN gives a NaN. From sin on they are in `wide_math.py`, computed in float64 and rounded once; so is the general
power there. The polynomials are Chebyshev or Remez fits made for these intervals; the split of ln 2 is the usual
one of Cody and Waite ("Software Manual for the Elementary Functions", 1980).
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx

from astroedge.targets.exact.expressions import (
    Expression,
    Steps,
    integer_type,
    magnitude,
    number,
    polynomial,
    square_root,
    times,
    unless_nan,
    with_sign_of,
)
from astroedge.targets.exact.fence_products import fence
from astroedge.targets.exact.wide_math import acos, acosh, asin, asinh, atan, atanh, cos, cosh, sin, sinh, tan

_LN2_HIGH, _LN2_LOW = float.fromhex("0x1.62e4p-1"), float.fromhex("0x1.7f7d1cp-20")
_LOG2_E = float.fromhex("0x1.715476p+0")
_ROUND, _ROUND_BITS = float.fromhex("0x1.8p+23"), 0x4B400000
_EXP = ("0x1p-1", "0x1.5554dcp-3", "0x1.55551ap-5", "0x1.120b6ep-7", "0x1.6d110ap-10")
_EXPM1 = ("0x1p-1", "0x1.555556p-3", "0x1.5554eap-5", "0x1.1110e0p-7", "0x1.6d4324p-10", "0x1.a124f2p-13")
_LOG = (
    "0x1.555554p-2", "-0x1.fffffcp-3", "0x1.999d5ap-3", "-0x1.555b4ap-3", "0x1.23d21ap-3",
    "-0x1.fcf4c6p-4", "0x1.dea282p-4", "-0x1.d635bcp-4", "0x1.1d8ea6p-4",
)  # fmt: skip
_ERF_SMALL = (
    "0x1.06eba8p-3", "-0x1.812744p-2", "0x1.ce2e5cp-4", "-0x1.b815ccp-6",
    "0x1.551070p-8", "-0x1.acd92ap-11", "0x1.65bfc0p-14",
)  # fmt: skip
_ERF_LARGE = (
    "0x1.5ff1b2p-13", "-0x1.2125bap+0", "-0x1.444ed0p-1", "-0x1.bb36b8p-4", "0x1.9ac6f0p-6",
    "-0x1.102bf0p-8", "0x1.c3aa5ap-12", "-0x1.5c86c4p-16",
)  # fmt: skip
_ERF_SPLIT = 0.890625


def _power_of_two(n: Expression, like: Expression) -> Expression:
    """2ⁿ for an int32 n in −126…127, by its bit pattern."""
    shift = tirx.const(23, n.ty.dtype)
    return tirx.reinterpret(like.ty.dtype, (n + tirx.const(127, n.ty.dtype)) << shift)


def _reduce(x: Expression, steps: Steps) -> tuple[Expression, Expression]:
    """(n, r) with x = n·ln 2 + r, |r| ≤ ln 2 / 2 and n an int32; exact but for one rounding in r.

    Adding 1.5·2²³ rounds to a whole number in the lowest bits of the sum; the fence keeps the sum as it is.
    (`llvm.rint` would do the same, but calls the C library where the processor has no such instruction.)
    """
    shifted = steps.let(fence(times(x, _LOG2_E) + number(_ROUND, x)))
    n = steps.let(shifted - number(_ROUND, x))
    whole = tirx.reinterpret(integer_type(x), shifted) - tirx.const(_ROUND_BITS, integer_type(x))
    return steps.let(whole), steps.let(x - times(n, _LN2_HIGH) - times(n, _LN2_LOW))


def exp(x: Expression) -> Expression:
    """eˣ, at most 1.1 ulp from the true value."""
    steps = Steps()
    x = steps.let(x)
    bounded = steps.let(tirx.min(tirx.max(x, number(-104.0, x)), number(89.0, x)))  # NaN becomes −104
    whole, r = _reduce(bounded, steps)
    mantissa = steps.let(number(1.0, x) + (r + times(times(r, r), steps.let(polynomial(r, _EXP)))))
    half = steps.let(whole >> tirx.const(1, whole.ty.dtype))
    scaled = times(times(mantissa, _power_of_two(half, x)), _power_of_two(whole - half, x))
    return steps.result(unless_nan(x, scaled))


def expm1(x: Expression) -> Expression:
    """eˣ − 1 without cancellation near 0."""
    steps = Steps()
    x = steps.let(x)
    bounded = steps.let(tirx.min(tirx.max(x, number(-20.0, x)), number(89.0, x)))
    whole, r = _reduce(bounded, steps)
    core = steps.let(r + times(times(r, r), steps.let(polynomial(r, _EXPM1))))
    # 2ⁿ overflows for n = 128, so all is computed at half scale and doubled at the end.
    scale = steps.let(_power_of_two(whole - tirx.const(1, whole.ty.dtype), x))
    value = times(times(scale, core) + (scale - number(0.5, x)), 2.0)
    return steps.result(unless_nan(x, tirx.Select(x == number(0.0, x), x, value)))


def log(x: Expression) -> Expression:
    """The natural logarithm, at most 1 ulp from the true value."""
    steps = Steps()
    x = steps.let(x)
    integer = integer_type(x)
    denormal = x < number(float.fromhex("0x1p-126"), x)
    normal = steps.let(tirx.Select(denormal, times(x, float.fromhex("0x1p+25")), x))
    # Bits of sqrt(1/2) are subtracted first, so that the mantissa falls into sqrt(1/2)…sqrt(2).
    offset = tirx.const(0x3F3504F3, integer)
    bits = steps.let(tirx.reinterpret(integer, normal) - offset)
    exponent = steps.let(bits >> tirx.const(23, integer))
    mantissa = tirx.reinterpret(x.ty.dtype, (bits & tirx.const(0x007FFFFF, integer)) + offset)
    f = steps.let(fence(mantissa) - number(1.0, x))
    n = steps.let(tirx.Cast(x.ty.dtype, exponent) - tirx.Select(denormal, number(25.0, x), number(0.0, x)))
    square = steps.let(times(f, f))
    tail = times(times(f, square), steps.let(polynomial(f, _LOG))) + times(n, _LN2_LOW)
    value = (f + (tail - times(square, 0.5))) + times(n, _LN2_HIGH)
    infinity = number(float("inf"), x)
    value = tirx.Select(x == infinity, infinity, value)
    zero = number(0.0, x)
    outside = tirx.Select(x == zero, number(float("-inf"), x), number(float("nan"), x))
    return steps.result(tirx.Select(x > zero, value, outside))


def log1p(x: Expression) -> Expression:
    """log(1 + x) without cancellation near 0 (Kahan's correction of the rounding of 1 + x)."""
    steps = Steps()
    x = steps.let(x)
    one = number(1.0, x)
    total = steps.let(fence(one + x))
    corrected = times(log(total), x / (total - one))
    unchanged = tirx.any(total == one, x == number(float("inf"), x))
    return steps.result(tirx.Select(unchanged, x, corrected))


def tanh(x: Expression) -> Expression:
    """The hyperbolic tangent, as −t / (2 + t) with t = expm1(−2·|x|), the sign put back."""
    steps = Steps()
    x = steps.let(x)
    t = steps.let(expm1(times(magnitude(x), -2.0)))
    value = steps.let((number(0.0, x) - t) / (t + number(2.0, x)))
    return steps.result(with_sign_of(value, x))


def sigmoid(x: Expression) -> Expression:
    """1 / (1 + e⁻ˣ), with the exponential of a number that is never positive."""
    steps = Steps()
    x = steps.let(x)
    z = steps.let(exp(number(0.0, x) - magnitude(x)))
    one = number(1.0, x)
    return steps.result(tirx.Select(x >= number(0.0, x), one, z) / (one + z))


def erf(x: Expression) -> Expression:
    """The error function: an odd polynomial near 0, 1 − e^q(|x|) beyond."""
    steps = Steps()
    x = steps.let(x)
    size = steps.let(tirx.min(magnitude(x), number(4.0, x)))
    near = x + times(x, steps.let(polynomial(steps.let(times(size, size)), _ERF_SMALL)))
    far = number(1.0, x) - exp(polynomial(size, _ERF_LARGE))
    is_near = magnitude(x) < number(_ERF_SPLIT, x)
    value = tirx.Select(is_near, near, with_sign_of(steps.let(far), x))
    return steps.result(unless_nan(x, value))


def sqrt(x: Expression) -> Expression:
    """The square root."""
    return square_root(x)


def round_to_even(x: Expression) -> Expression:
    """The nearest whole number, the even one of two; every target has it as one instruction."""
    return tirx.call_llvm_pure_intrin(x.ty, "llvm.rint", x)


def rsqrt(x: Expression) -> Expression:
    """1 / sqrt(x); the approximate instructions of x86 and ARM differ and are never used."""
    return number(1.0, x) / square_root(x)


def power(x: Expression, exponent: int) -> Expression:
    """x to a whole power by repeated squaring, lowest bit of the exponent first; 1/x^|n| for a negative one."""
    steps = Steps()
    x = steps.let(x)
    result: Expression | None = None
    factor, remaining = x, abs(exponent)
    while remaining:
        if remaining & 1:
            result = factor if result is None else steps.let(times(result, factor))
        remaining >>= 1
        if remaining:
            factor = steps.let(times(factor, factor))
    if result is None:
        return number(1.0, x)
    return steps.result(number(1.0, x) / result if exponent < 0 else result)


UNARY: dict[str, Callable[[Expression], Expression]] = {
    "exp": exp,
    "log": log,
    "log1p": log1p,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "erf": erf,
    "sqrt": sqrt,
    "rsqrt": rsqrt,
    **{function.__name__: function for function in (sin, cos, tan, asin, acos, atan)},
    **{function.__name__: function for function in (sinh, cosh, asinh, acosh, atanh)},
}
"""The TIR intrinsics (`tirx.<name>`) that have an exact form here."""
