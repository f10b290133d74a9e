"""Functions of float32 numbers that are computed in float64 and rounded once: circular, hyperbolic, the general power.

In float64 a plain formula is exact enough: its error is below 2⁻³⁸ of the result, so that the one rounding at the end
is all that shows (0.51 ulp), denormal results included. The rules of `exact_math.py` hold: IEEE operations only, every
product fenced. The polynomials interpolate at Chebyshev's points of their intervals.
"""

from __future__ import annotations

from tvm import tirx

from astroedge.targets.exact.expressions import (
    Expression,
    Steps,
    integer_type,
    magnitude,
    number,
    polynomial,
    round_to_even,
    square_root,
    times,
    with_sign_of,
)
from astroedge.targets.exact.fence_products import fence

_SIN = ("-0x1.555555545dd83p-3", "0x1.11110deeb33b2p-7", "-0x1.a013a6edc8f34p-13", "0x1.6dbdd26f56d2dp-19")
_COS = ("-0x1.fffffffab0c4cp-2", "0x1.55554cb9f2c65p-5", "-0x1.6c0e079b9e8ccp-10", "0x1.9a6ee1e0c89e9p-16")
_TWO_OVER_PI = float.fromhex("0x1.45f306dc9c883p-1")
_PI_HALF_HIGH, _PI_HALF_LOW = float.fromhex("0x1.921fb544p+0"), float.fromhex("0x1.0b4611a626331p-34")
_ROUND, _ROUND_BITS = float.fromhex("0x1.8p+52"), 0x4338000000000000
_CIRCULAR_LIMIT = float(2**20)
# 2^r for |r| ≤ 1/2
_EXP2 = (
    "0x1.0p+0", "0x1.62e42fef84cf0p-1", "0x1.ebfbdff823cedp-3", "0x1.c6b08dd6fd234p-5", "0x1.3b2ab7181b755p-7",
    "0x1.5d8745a728441p-10", "0x1.4308ac85aa947p-13", "0x1.00dc4a532fb8ep-16", "0x1.63d136366db24p-20",
)  # fmt: skip
# 2·atanh(s)/s of s², for |s| ≤ (√2 − 1) / (√2 + 1)
_LOG = (
    "0x1.fffffffffff12p+0", "0x1.55555556716dap-1", "0x1.9999962baa6d7p-2", "0x1.24943845d454ep-2",
    "0x1.c620e12262e86p-3", "0x1.9193ad599876cp-3",
)  # fmt: skip
# atan(u)/u of u², for |u| ≤ tan(π/8)
_ATAN = (
    "0x1.fffffffffff0fp-1", "-0x1.55555554e5fc5p-2", "0x1.99999911c1573p-3", "-0x1.2492291945813p-3",
    "0x1.c714d3e720df5p-4", "-0x1.73d9cba10d56bp-4", "0x1.35ced8de982a2p-4", "-0x1.e13ac280a9accp-5",
    "0x1.f657ae7e09907p-6",
)  # fmt: skip
_TAN_PI_8, _TAN_3PI_8 = float.fromhex("0x1.a827999fcef32p-2"), float.fromhex("0x1.3504f333f9de6p+1")
_PI_HALF, _PI_QUARTER = float.fromhex("0x1.921fb54442d18p+0"), float.fromhex("0x1.921fb54442d18p-1")
_LN2, _LOG2_E = float.fromhex("0x1.62e42fefa39efp-1"), float.fromhex("0x1.71547652b82fep+0")
_SQRT_HALF_BITS, _ONE_BITS, _MANTISSA = 0x3FE6A09E667F3BCD, 0x3FF0000000000000, 0x000FFFFFFFFFFFFF
_TINY = float(2**-12)  # below, x is the float32 nearest to its sinh, asinh and atanh
_FAR = 1000.0  # beyond ±1000, a power of two is 0 or infinite in float32 and finite in float64
_INFINITY, _NAN = float("inf"), float("nan")


def sin(x: Expression) -> Expression:
    """The sine of x radians."""
    steps = Steps()
    x = steps.keep(x)
    sine, cosine, quadrant = _turn(x, steps)
    value = steps.keep(tirx.Cast(x.ty, _at_quadrant(sine, cosine, quadrant)))
    return steps.result(_inside(x, tirx.Select(x == number(0.0, x), x, value), _CIRCULAR_LIMIT))


def cos(x: Expression) -> Expression:
    """The cosine of x radians."""
    steps = Steps()
    x = steps.keep(x)
    sine, cosine, quadrant = _turn(x, steps)
    following = steps.let(quadrant + tirx.const(1, quadrant.ty.dtype))
    return steps.result(_inside(x, tirx.Cast(x.ty, _at_quadrant(sine, cosine, following)), _CIRCULAR_LIMIT))


def tan(x: Expression) -> Expression:
    """The tangent of x radians."""
    steps = Steps()
    x = steps.keep(x)
    sine, cosine, quadrant = _turn(x, steps)
    even = _bit(quadrant, 1)
    quotient = tirx.Select(even, sine, number(0.0, sine) - cosine) / tirx.Select(even, cosine, sine)
    value = steps.keep(tirx.Cast(x.ty, quotient))
    return steps.result(_inside(x, tirx.Select(x == number(0.0, x), x, value), _CIRCULAR_LIMIT))


def asin(x: Expression) -> Expression:
    """The angle in −π/2…π/2 whose sine is x."""
    steps = Steps()
    x = steps.keep(x)
    size = steps.keep(_widened(magnitude(x)))
    one = number(1.0, size)
    value = _arc(size / square_root(times(one - size, one + size)), steps)
    return steps.result(_inside(x, with_sign_of(steps.keep(tirx.Cast(x.ty, value)), x), 1.0))


def acos(x: Expression) -> Expression:
    """The angle in 0…π whose cosine is x."""
    steps = Steps()
    x = steps.keep(x)
    wide = steps.keep(_widened(x))
    one = number(1.0, wide)
    value = _arc(square_root((one - wide) / (one + wide)), steps)
    return steps.result(_inside(x, tirx.Cast(x.ty, times(value, 2.0)), 1.0))


def atan(x: Expression) -> Expression:
    """The angle in −π/2…π/2 whose tangent is x."""
    steps = Steps()
    x = steps.keep(x)
    value = steps.keep(tirx.Cast(x.ty, _arc(_widened(magnitude(x)), steps)))
    return steps.result(_inside(x, with_sign_of(value, x), _INFINITY))


def sinh(x: Expression) -> Expression:
    """(eˣ − e⁻ˣ) / 2."""
    steps = Steps()
    x = steps.keep(x)
    power = _exponential(_widened(magnitude(x)), steps)
    value = steps.keep(tirx.Cast(x.ty, times(power - number(1.0, power) / power, 0.5)))
    return steps.result(_odd(x, value))


def cosh(x: Expression) -> Expression:
    """(eˣ + e⁻ˣ) / 2."""
    steps = Steps()
    x = steps.keep(x)
    power = _exponential(_widened(magnitude(x)), steps)
    value = tirx.Cast(x.ty, times(power + number(1.0, power) / power, 0.5))
    return steps.result(_inside(x, value, _INFINITY))


def asinh(x: Expression) -> Expression:
    """The number whose hyperbolic sine is x."""
    steps = Steps()
    x = steps.keep(x)
    size = steps.keep(_widened(magnitude(x)))
    inner = size + square_root(times(size, size) + number(1.0, size))
    value = tirx.Cast(x.ty, _logarithm(steps.keep(inner), steps))
    infinite = magnitude(x) == number(_INFINITY, x)
    return steps.result(_odd(x, tirx.Select(infinite, number(_INFINITY, x), steps.keep(value))))


def acosh(x: Expression) -> Expression:
    """The number that is not negative and whose hyperbolic cosine is x."""
    steps = Steps()
    x = steps.keep(x)
    wide = steps.keep(_widened(x))
    inner = wide + square_root(times(wide, wide) - number(1.0, wide))
    value = tirx.Cast(x.ty, _logarithm(steps.keep(inner), steps))
    value = tirx.Select(x == number(_INFINITY, x), x, value)
    return steps.result(tirx.Select(x >= number(1.0, x), value, number(_NAN, x)))


def atanh(x: Expression) -> Expression:
    """The number whose hyperbolic tangent is x."""
    steps = Steps()
    x = steps.keep(x)
    size = steps.keep(_widened(magnitude(x)))
    one = number(1.0, size)
    logarithm = _logarithm(steps.keep((one + size) / (one - size)), steps)
    value = steps.keep(tirx.Cast(x.ty, times(logarithm, 0.5)))
    value = tirx.Select(magnitude(x) == number(1.0, x), number(_INFINITY, x), value)
    return steps.result(_inside(x, _odd(x, steps.keep(value)), 1.0))


def power(x: Expression, y: Expression) -> Expression:
    """x to the power y for float32 x and y, with the special values of C's `pow` (C17, F.10.4.4)."""
    steps = Steps()
    x, y = steps.keep(x), steps.keep(y)
    size, zero, one = steps.keep(magnitude(x)), number(0.0, x), number(1.0, x)
    wide = steps.keep(_widened(size))
    exponent = times(times(_logarithm(wide, steps), _LOG2_E), _widened(y))
    signed_infinity = tirx.Select(y < zero, number(-_INFINITY, wide), number(_INFINITY, wide))
    exponent = tirx.Select(size == number(_INFINITY, x), signed_infinity, exponent)
    exponent = tirx.Select(size == zero, number(0.0, wide) - signed_infinity, exponent)
    exponent = tirx.Select(size == one, number(0.0, wide), exponent)
    value = steps.keep(tirx.Cast(x.ty, _power_of_two(steps.keep(exponent), steps)))
    half = steps.keep(times(y, 0.5))
    rounded = steps.keep(round_to_even(half))
    whole = fence(round_to_even(y)) == y
    odd = tirx.all(whole, tirx.any(rounded < half, half < rounded))
    value = steps.keep(tirx.Select(odd, with_sign_of(value, x), value))
    defined = tirx.any(whole, x >= zero, size == number(_INFINITY, x))
    numbers = tirx.all(fence(x) == x, fence(y) == y)
    value = tirx.Select(tirx.all(defined, numbers), value, number(_NAN, x))
    return steps.result(tirx.Select(tirx.any(x == one, y == zero), one, value))


def remainder(x: Expression, y: Expression) -> Expression:
    """x − n·y with n = x/y rounded towards zero, exactly, as C's `fmod`; for float32 x and y.

    Long division in base 2²⁴: each digit of the quotient, and its product with y, is a whole number that float64 holds.
    """
    steps = Steps()
    x, y = steps.keep(x), steps.keep(y)
    left = steps.keep(_widened(magnitude(x)))
    divisor = steps.keep(_widened(magnitude(y)))
    for digit in reversed(range(12)):
        unit = steps.keep(times(divisor, float(2 ** (24 * digit))))
        left = steps.keep(left - times(tirx.trunc(left / unit), unit))
    infinity = number(_INFINITY, x)
    value = with_sign_of(steps.keep(tirx.Cast(x.ty, left)), x)
    value = tirx.Select(magnitude(y) == infinity, x, value)
    defined = tirx.all(magnitude(x) < infinity, magnitude(y) > number(0.0, x))
    return steps.result(tirx.Select(defined, value, number(_NAN, x)))


def _turn(x: Expression, steps: Steps) -> tuple[Expression, Expression, Expression]:
    """Sine and cosine, in float64, of the distance to the nearest multiple n of π/2, and n in the lowest bits."""
    wide = steps.keep(_widened(x))
    shifted = steps.keep(times(wide, _TWO_OVER_PI) + number(_ROUND, wide))
    n = steps.keep(shifted - number(_ROUND, wide))
    r = steps.keep(wide - times(n, _PI_HALF_HIGH) - times(n, _PI_HALF_LOW))
    square = steps.keep(times(r, r))
    sine = steps.keep(r + times(times(r, square), steps.keep(polynomial(square, _SIN))))
    cosine = steps.keep(number(1.0, wide) + times(square, steps.keep(polynomial(square, _COS))))
    return sine, cosine, steps.let(tirx.reinterpret(integer_type(wide), shifted))


def _at_quadrant(sine: Expression, cosine: Expression, quadrant: Expression) -> Expression:
    size = tirx.Select(_bit(quadrant, 1), sine, cosine)
    return tirx.Select(_bit(quadrant, 2), size, number(0.0, sine) - size)


def _bit(bits: Expression, mask: int) -> Expression:
    """Whether a bit is 0."""
    dtype = bits.ty.dtype
    return (bits & tirx.const(mask, dtype)) == tirx.const(0, dtype)


def _arc(tangent: Expression, steps: Steps) -> Expression:
    """The arc tangent of a float64 that is not negative, turned by 0, π/4 or π/2 to within π/8 of 0."""
    tangent = steps.keep(tangent)
    one, small = number(1.0, tangent), tangent <= number(_TAN_PI_8, tangent)
    large = tangent > number(_TAN_3PI_8, tangent)
    above = tirx.Select(large, number(-1.0, tangent), tirx.Select(small, tangent, tangent - one))
    below = tirx.Select(large, tangent, tirx.Select(small, one, tangent + one))
    turned = steps.keep(above / below)
    angle = times(turned, steps.keep(polynomial(steps.keep(times(turned, turned)), _ATAN)))
    start = tirx.Select(small, number(0.0, tangent), number(_PI_QUARTER, tangent))
    return steps.keep(tirx.Select(large, number(_PI_HALF, tangent), start) + angle)


def _exponential(x: Expression, steps: Steps) -> Expression:
    """eˣ of a float64."""
    return _power_of_two(steps.keep(times(x, _LOG2_E)), steps)


def _power_of_two(x: Expression, steps: Steps) -> Expression:
    """2ˣ of a float64, which is taken for ±1000 beyond these (and a NaN for one of them)."""
    low, high = number(-_FAR, x), number(_FAR, x)
    x = steps.keep(tirx.Select(x < high, tirx.Select(x > low, x, low), high))
    shifted = steps.keep(x + number(_ROUND, x))
    fraction = steps.keep(x - (shifted - number(_ROUND, x)))
    integer = integer_type(x)
    biased = tirx.reinterpret(integer, shifted) - tirx.const(_ROUND_BITS - 1023, integer)
    scale = tirx.reinterpret(x.ty.dtype, biased << tirx.const(52, integer))
    return steps.keep(times(steps.keep(polynomial(fraction, _EXP2)), scale))


def _logarithm(x: Expression, steps: Steps) -> Expression:
    """The natural logarithm of a float64 that is positive, normal and finite."""
    integer = f"u{integer_type(x)}"
    bits = tirx.reinterpret(integer, x)
    # The mantissa falls into sqrt(1/2)…sqrt(2); the exponent is read as the low bits of 2⁵² + exponent.
    bits = steps.let(bits + tirx.const(_ONE_BITS - _SQRT_HALF_BITS, integer))
    exponent = (bits >> tirx.const(52, integer)) | tirx.const(0x4330000000000000, integer)
    n = steps.keep(fence(tirx.reinterpret(x.ty.dtype, exponent)) - number(float(2**52 + 1023), x))
    mantissa = (bits & tirx.const(_MANTISSA, integer)) + tirx.const(_SQRT_HALF_BITS, integer)
    mantissa = steps.keep(tirx.reinterpret(x.ty.dtype, mantissa))
    one = number(1.0, x)
    s = steps.keep((mantissa - one) / (mantissa + one))
    return steps.keep(times(s, steps.keep(polynomial(steps.keep(times(s, s)), _LOG))) + times(n, _LN2))


def _widened(x: Expression) -> Expression:
    return tirx.Cast(str(x.ty.dtype).replace("float32", "float64"), x)


def _odd(x: Expression, value: Expression) -> Expression:
    """`value`, made of |x|, with the sign of x; x itself where it is tiny or NaN."""
    return tirx.Select(magnitude(x) >= number(_TINY, x), with_sign_of(value, x), x)


def _inside(x: Expression, value: Expression, limit: float) -> Expression:
    """`value` where |x| is at most `limit`, else the one NaN: that of arithmetic has another sign on ARM."""
    return tirx.Select(magnitude(x) <= number(limit, x), value, number(_NAN, x))
