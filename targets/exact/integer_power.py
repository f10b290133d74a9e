"""Powers of integers by products, and the powers of 1 and −1 that negative exponents have."""

from __future__ import annotations

from tvm import tirx

from astroedge.targets.exact.expressions import Expression, Steps

_BITS = 6  # no integer type holds a 64th power but those of 0, 1 and −1


def integer_power(base: Expression, exponent: Expression) -> Expression:
    """base ** exponent of one integer dtype, exact where the dtype holds it.

    A negative exponent gives the fraction 1 / base**|exponent| cut to 0, or its value for a base of ±1. ONNX Runtime
    takes 0 ** −n for infinity, which no integer is; here it is 0.
    """
    steps = Steps()
    base, exponent = steps.let(base), steps.let(exponent)
    dtype = base.ty.dtype
    zero, one = tirx.const(0, dtype), tirx.const(1, dtype)
    if str(dtype).startswith("uint"):
        return steps.result(_product(base, exponent, steps))
    size = steps.let(tirx.Select(exponent < zero, zero - exponent, exponent))
    fraction = tirx.Select(tirx.any(base == one, base == tirx.const(-1, dtype)), one, zero)
    result = _product(base, size, steps)
    return steps.result(tirx.Select(exponent < zero, result * fraction, result))


def _product(base: Expression, count: Expression, steps: Steps) -> Expression:
    """The product of `count` times `base`, which are named values of one dtype."""
    dtype = base.ty.dtype
    zero, one = tirx.const(0, dtype), tirx.const(1, dtype)
    # Beyond 63 only the parity is left to see: of 0, 1 and −1; the powers of all others have overflowed.
    count = steps.let(tirx.Select(count > tirx.const(63, dtype), (count & one) + tirx.const(62, dtype), count))
    result, factor = one, base
    for bit in range(_BITS):
        taken = (count & tirx.const(1 << bit, dtype)) != zero
        result = steps.let(tirx.Select(taken, result * factor, result))
        factor = steps.let(factor * factor)
    return result
