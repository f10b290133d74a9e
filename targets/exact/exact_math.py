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
| sin, cos | 0.51 | NaN beyond ±2²⁰ and at ±inf; computed in float64 |

A NaN gives a NaN. The polynomials are Chebyshev or Remez fits made for these intervals; the split of ln 2 is the usual
one of Cody and Waite ("Software Manual for the Elementary Functions", 1980).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import tirx

from astroedge.targets.exact.fence_products import fence

Expression = Any  # a TIR expression; TVM's classes carry no type information

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
_SIN = ("-0x1.555555545dd83p-3", "0x1.11110deeb33b2p-7", "-0x1.a013a6edc8f34p-13", "0x1.6dbdd26f56d2dp-19")
_COS = ("-0x1.fffffffab0c4cp-2", "0x1.55554cb9f2c65p-5", "-0x1.6c0e079b9e8ccp-10", "0x1.9a6ee1e0c89e9p-16")
_TWO_OVER_PI = float.fromhex("0x1.45f306dc9c883p-1")
_PI_HALF_HIGH, _PI_HALF_LOW = float.fromhex("0x1.921fb544p+0"), float.fromhex("0x1.0b4611a626331p-34")
_ROUND_WIDE = float.fromhex("0x1.8p+52")
_CIRCULAR_LIMIT = float(2**20)


class _Steps:
    """Names intermediate results, so that an expression used often is computed once and grows linearly."""

    def __init__(self) -> None:
        self._bound: list[tuple[tirx.Var, Expression]] = []

    def let(self, value: Expression) -> Expression:
        name = tirx.Var("t", value.ty)
        self._bound.append((name, value))
        return name

    def result(self, value: Expression) -> Expression:
        for name, bound in reversed(self._bound):
            value = tirx.Let(name, bound, value)
        return value


def _number(value: float, like: Expression) -> Expression:
    return tirx.const(value, like.ty.dtype)


def _times(a: Expression, b: Expression | float) -> Expression:
    return fence(a * (_number(b, a) if isinstance(b, float) else b))


def _polynomial(x: Expression, coefficients: Sequence[str]) -> Expression:
    """Σ coefficients[i]·xⁱ by Horner's rule, each product and each sum rounded."""
    value = _number(float.fromhex(coefficients[-1]), x)
    for coefficient in reversed(coefficients[:-1]):
        value = _times(value, x) + _number(float.fromhex(coefficient), x)
    return value


def _integer(x: Expression) -> str:
    """The int32 dtype with as many lanes as x has."""
    return str(x.ty.dtype).replace("float", "int")


def _unless_nan(x: Expression, value: Expression) -> Expression:
    """`value`, or x itself where x is NaN. TVM simplifies `x == x` to True, and its `!=` is False for a NaN."""
    return tirx.Select(fence(x) == x, value, x)


def _power_of_two(n: Expression, like: Expression) -> Expression:
    """2ⁿ for an int32 n in −126…127, by its bit pattern."""
    shift = tirx.const(23, n.ty.dtype)
    return tirx.reinterpret(like.ty.dtype, (n + tirx.const(127, n.ty.dtype)) << shift)


def _reduce(x: Expression, steps: _Steps) -> tuple[Expression, Expression]:
    """(n, r) with x = n·ln 2 + r, |r| ≤ ln 2 / 2 and n an int32; exact but for one rounding in r.

    Adding 1.5·2²³ rounds to a whole number in the lowest bits of the sum; the fence keeps the sum as it is.
    (`llvm.rint` would do the same, but calls the C library where the processor has no such instruction.)
    """
    shifted = steps.let(fence(_times(x, _LOG2_E) + _number(_ROUND, x)))
    n = steps.let(shifted - _number(_ROUND, x))
    whole = tirx.reinterpret(_integer(x), shifted) - tirx.const(_ROUND_BITS, _integer(x))
    return steps.let(whole), steps.let(x - _times(n, _LN2_HIGH) - _times(n, _LN2_LOW))


def exp(x: Expression) -> Expression:
    """eˣ, at most 1.1 ulp from the true value."""
    steps = _Steps()
    x = steps.let(x)
    bounded = steps.let(tirx.min(tirx.max(x, _number(-104.0, x)), _number(89.0, x)))  # NaN becomes −104
    whole, r = _reduce(bounded, steps)
    mantissa = steps.let(_number(1.0, x) + (r + _times(_times(r, r), steps.let(_polynomial(r, _EXP)))))
    half = steps.let(whole >> tirx.const(1, whole.ty.dtype))
    scaled = _times(_times(mantissa, _power_of_two(half, x)), _power_of_two(whole - half, x))
    return steps.result(_unless_nan(x, scaled))


def expm1(x: Expression) -> Expression:
    """eˣ − 1 without cancellation near 0."""
    steps = _Steps()
    x = steps.let(x)
    bounded = steps.let(tirx.min(tirx.max(x, _number(-20.0, x)), _number(89.0, x)))
    whole, r = _reduce(bounded, steps)
    core = steps.let(r + _times(_times(r, r), steps.let(_polynomial(r, _EXPM1))))
    # 2ⁿ overflows for n = 128, so all is computed at half scale and doubled at the end.
    scale = steps.let(_power_of_two(whole - tirx.const(1, whole.ty.dtype), x))
    value = _times(_times(scale, core) + (scale - _number(0.5, x)), 2.0)
    return steps.result(_unless_nan(x, tirx.Select(x == _number(0.0, x), x, value)))


def log(x: Expression) -> Expression:
    """The natural logarithm, at most 1 ulp from the true value."""
    steps = _Steps()
    x = steps.let(x)
    integer = _integer(x)
    denormal = x < _number(float.fromhex("0x1p-126"), x)
    normal = steps.let(tirx.Select(denormal, _times(x, float.fromhex("0x1p+25")), x))
    # Bits of sqrt(1/2) are subtracted first, so that the mantissa falls into sqrt(1/2)…sqrt(2).
    offset = tirx.const(0x3F3504F3, integer)
    bits = steps.let(tirx.reinterpret(integer, normal) - offset)
    exponent = steps.let(bits >> tirx.const(23, integer))
    mantissa = tirx.reinterpret(x.ty.dtype, (bits & tirx.const(0x007FFFFF, integer)) + offset)
    f = steps.let(fence(mantissa) - _number(1.0, x))
    n = steps.let(tirx.Cast(x.ty.dtype, exponent) - tirx.Select(denormal, _number(25.0, x), _number(0.0, x)))
    square = steps.let(_times(f, f))
    tail = _times(_times(f, square), steps.let(_polynomial(f, _LOG))) + _times(n, _LN2_LOW)
    value = (f + (tail - _times(square, 0.5))) + _times(n, _LN2_HIGH)
    infinity = _number(float("inf"), x)
    value = tirx.Select(x == infinity, infinity, value)
    zero = _number(0.0, x)
    outside = tirx.Select(x == zero, _number(float("-inf"), x), _number(float("nan"), x))
    return steps.result(tirx.Select(x > zero, value, outside))


def log1p(x: Expression) -> Expression:
    """log(1 + x) without cancellation near 0 (Kahan's correction of the rounding of 1 + x)."""
    steps = _Steps()
    x = steps.let(x)
    one = _number(1.0, x)
    total = steps.let(fence(one + x))
    corrected = _times(log(total), x / (total - one))
    unchanged = tirx.any(total == one, x == _number(float("inf"), x))
    return steps.result(tirx.Select(unchanged, x, corrected))


def tanh(x: Expression) -> Expression:
    """The hyperbolic tangent, as −t / (2 + t) with t = expm1(−2·|x|), the sign put back."""
    steps = _Steps()
    x = steps.let(x)
    t = steps.let(expm1(_times(_magnitude(x), -2.0)))
    value = steps.let((_number(0.0, x) - t) / (t + _number(2.0, x)))
    return steps.result(_with_sign_of(value, x))


def sigmoid(x: Expression) -> Expression:
    """1 / (1 + e⁻ˣ), with the exponential of a number that is never positive."""
    steps = _Steps()
    x = steps.let(x)
    z = steps.let(exp(_number(0.0, x) - _magnitude(x)))
    one = _number(1.0, x)
    return steps.result(tirx.Select(x >= _number(0.0, x), one, z) / (one + z))


def sin(x: Expression) -> Expression:
    """The sine of x radians."""
    return _circular(x, 0)


def cos(x: Expression) -> Expression:
    """The cosine of x radians."""
    return _circular(x, 1)


def _circular(x: Expression, quarters: int) -> Expression:
    """sin(x + quarters·π/2), in float64: sine or cosine of the distance to the nearest multiple of π/2."""
    steps = _Steps()
    x = steps.let(x)
    wide = steps.let(tirx.Cast(str(x.ty.dtype).replace("float32", "float64"), x))
    shifted = steps.let(fence(_times(wide, _TWO_OVER_PI) + _number(_ROUND_WIDE, wide)))
    n = steps.let(shifted - _number(_ROUND_WIDE, wide))
    r = steps.let(wide - _times(n, _PI_HALF_HIGH) - _times(n, _PI_HALF_LOW))
    square = steps.let(_times(r, r))
    sine = steps.let(r + _times(_times(r, square), steps.let(_polynomial(square, _SIN))))
    cosine = steps.let(_number(1.0, wide) + _times(square, steps.let(_polynomial(square, _COS))))
    integer = str(wide.ty.dtype).replace("float", "int")
    quadrant = steps.let(tirx.reinterpret(integer, shifted) + tirx.const(quarters, integer))
    zero = tirx.const(0, integer)
    size = steps.let(tirx.Select((quadrant & tirx.const(1, integer)) == zero, sine, cosine))
    signed = tirx.Select((quadrant & tirx.const(2, integer)) == zero, size, _number(0.0, wide) - size)
    value = steps.let(tirx.Cast(x.ty, signed))
    if quarters == 0:
        value = steps.let(tirx.Select(x == _number(0.0, x), x, value))
    return steps.result(tirx.Select(_magnitude(x) <= _number(_CIRCULAR_LIMIT, x), value, _number(float("nan"), x)))


def erf(x: Expression) -> Expression:
    """The error function: an odd polynomial near 0, 1 − e^q(|x|) beyond."""
    steps = _Steps()
    x = steps.let(x)
    size = steps.let(tirx.min(_magnitude(x), _number(4.0, x)))
    near = x + _times(x, steps.let(_polynomial(steps.let(_times(size, size)), _ERF_SMALL)))
    far = _number(1.0, x) - exp(_polynomial(size, _ERF_LARGE))
    is_near = _magnitude(x) < _number(_ERF_SPLIT, x)
    value = tirx.Select(is_near, near, _with_sign_of(steps.let(far), x))
    return steps.result(_unless_nan(x, value))


def sqrt(x: Expression) -> Expression:
    """The square root; every target has it as one correctly rounded instruction."""
    return tirx.call_llvm_pure_intrin(x.ty, "llvm.sqrt", x)


def round_to_even(x: Expression) -> Expression:
    """The nearest whole number, the even one of two; every target has it as one instruction."""
    return tirx.call_llvm_pure_intrin(x.ty, "llvm.rint", x)


def rsqrt(x: Expression) -> Expression:
    """1 / sqrt(x); the approximate instructions of x86 and ARM differ and are never used."""
    return _number(1.0, x) / sqrt(x)


def power(x: Expression, exponent: int) -> Expression:
    """x to a whole power by repeated squaring, lowest bit of the exponent first; 1/x^|n| for a negative one."""
    steps = _Steps()
    x = steps.let(x)
    result: Expression | None = None
    factor, remaining = x, abs(exponent)
    while remaining:
        if remaining & 1:
            result = factor if result is None else steps.let(_times(result, factor))
        remaining >>= 1
        if remaining:
            factor = steps.let(_times(factor, factor))
    if result is None:
        return _number(1.0, x)
    return steps.result(_number(1.0, x) / result if exponent < 0 else result)


def _magnitude(x: Expression) -> Expression:
    integer = _integer(x)
    return tirx.reinterpret(x.ty.dtype, tirx.reinterpret(integer, x) & tirx.const(0x7FFFFFFF, integer))


def _with_sign_of(value: Expression, sign: Expression) -> Expression:
    """`value`, which is not negative, with the sign bit of `sign`."""
    integer = _integer(sign)
    bit = tirx.reinterpret(integer, sign) & tirx.const(-(2**31), integer)
    return tirx.reinterpret(sign.ty.dtype, tirx.reinterpret(integer, value) | bit)


UNARY: dict[str, Callable[[Expression], Expression]] = {
    "exp": exp,
    "log": log,
    "log1p": log1p,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "erf": erf,
    "sin": sin,
    "cos": cos,
    "sqrt": sqrt,
    "rsqrt": rsqrt,
}
"""The TIR intrinsics (`tirx.<name>`) that have an exact form here."""
