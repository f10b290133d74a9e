"""What the exact functions are written with: named results, fenced products, polynomials, bit patterns.

Nothing here but operations that IEEE 754 defines to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import tirx

from astroedge.targets.exact.fence_products import fence
from astroedge.targets.exact.keep_names import keep

Expression = Any  # a TIR expression; TVM's classes carry no type information


class Steps:
    """Names intermediate results, so that an expression used often is computed once and grows linearly."""

    def __init__(self) -> None:
        self._bound: list[tuple[tirx.Var, Expression]] = []

    def let(self, value: Expression) -> Expression:
        """A name for `value`."""
        name = tirx.Var("t", value.ty)
        self._bound.append((name, value))
        return name

    def keep(self, value: Expression) -> Expression:
        """A name for a float that stays a name through all of TVM's passes, for long chains of them (keep_names.py)."""
        return self.let(keep(value))

    def result(self, value: Expression) -> Expression:
        """`value` with every name in it bound."""
        for name, bound in reversed(self._bound):
            value = tirx.Let(name, bound, value)
        return value


def number(value: float, like: Expression) -> Expression:
    """A constant of the type of `like`."""
    return tirx.const(value, like.ty.dtype)


def times(a: Expression, b: Expression | float) -> Expression:
    """a·b, rounded on its own."""
    return fence(a * (number(b, a) if isinstance(b, float) else b))


def polynomial(x: Expression, coefficients: Sequence[str]) -> Expression:
    """Σ coefficients[i]·xⁱ by Horner's rule, each product and each sum rounded."""
    value = number(float.fromhex(coefficients[-1]), x)
    for coefficient in reversed(coefficients[:-1]):
        value = times(value, x) + number(float.fromhex(coefficient), x)
    return value


def integer_type(x: Expression) -> str:
    """The signed integer dtype of the width of x with as many lanes as x has."""
    return str(x.ty.dtype).replace("float", "int")


def unless_nan(x: Expression, value: Expression) -> Expression:
    """`value`, or x itself where x is NaN. TVM simplifies `x == x` to True, and its `!=` is False for a NaN."""
    return tirx.Select(fence(x) == x, value, x)


def square_root(x: Expression) -> Expression:
    """√x; every target has it as one correctly rounded instruction."""
    return tirx.call_llvm_pure_intrin(x.ty, "llvm.sqrt", x)


def round_to_even(x: Expression) -> Expression:
    """The nearest whole number, the even one of two; every target has it as one instruction."""
    return tirx.call_llvm_pure_intrin(x.ty, "llvm.rint", x)


def magnitude(x: Expression) -> Expression:
    """|x| of a float32."""
    integer = integer_type(x)
    return tirx.reinterpret(x.ty.dtype, tirx.reinterpret(integer, x) & tirx.const(0x7FFFFFFF, integer))


def with_sign_of(value: Expression, sign: Expression) -> Expression:
    """`value`, a float32 that is not negative, with the sign bit of `sign`."""
    integer = integer_type(sign)
    bit = tirx.reinterpret(integer, sign) & tirx.const(-(2**31), integer)
    return tirx.reinterpret(sign.ty.dtype, tirx.reinterpret(integer, value) | bit)
