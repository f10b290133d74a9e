"""Replace calls of mathematical intrinsics by expressions that have the same bits on every processor.

Every operator's lowering reaches the C library through a call such as `tirx.exp`; the C libraries of x86 and ARM differ
in the last bits, so the call is replaced here, whichever operator it came from. float16 is computed in float32.
Conversions from float to integer get bounds, because processors disagree on what is out of range.

It comes after scheduling: an expression written here must not be inlined into another one afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tvm
from tvm import tirx

from astroedge.errors import UnsupportedOpError
from astroedge.targets.exact import exact_math, wide_math
from astroedge.targets.exact.expressions import round_to_even
from astroedge.targets.exact.fence_products import fence
from astroedge.targets.tir_builder import rewrite

_ROUNDING = ("fabs", "floor", "ceil", "trunc")
LARGEST_PRODUCT = 64  # the largest constant exponent that is worked out by products
_TO_EVEN = ("nearbyint", "round")  # TVM's round is C's nearbyint: halves go to the even neighbour, as in ONNX
_BITS = ("reinterpret", "shift_left", "shift_right", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "clz")
_CONTROL = ("if_then_else", "likely", "ret", "address_of", "handle_add_byte_offset", "buffer_data")
_ALREADY_EXACT = ("call_llvm_pure_intrin", "call_llvm_intrin", "popcount")
EXACT_AS_THEY_ARE = frozenset((*_ROUNDING, *_BITS, *_CONTROL, *_ALREADY_EXACT))
"""Intrinsics (`tirx.<name>`) that compute the same bits everywhere without help."""


def exact_intrinsics(func: tirx.PrimFunc, *, required: bool = True) -> tirx.PrimFunc:
    """The function with every mathematical intrinsic replaced by its exact form.

    Raises UnsupportedOpError for an intrinsic without one, unless it is not `required`.
    """
    refused: list[UnsupportedOpError] = []  # an exception that crosses TVM's C++ loses its class

    def replace_call(call: Any, mutator: Any) -> Any:
        call = mutator.default_mutate(call)
        if not isinstance(call.op, tvm.ir.Op) or not call.op.name.startswith("tirx."):
            return call
        name = call.op.name.removeprefix("tirx.")
        try:
            return call if name in EXACT_AS_THEY_ARE else _exact(name, call)
        except UnsupportedOpError as error:
            refused.append(error)
            return call

    def bound_cast(cast: Any, mutator: Any) -> Any:
        cast = mutator.default_mutate(cast)
        return _bounded(cast) if _is_float(cast.value) and "int" in str(cast.ty.dtype) else cast

    def divide(node: Any, mutator: Any) -> Any:
        node = mutator.default_mutate(node)
        try:
            return _remainder(node) if _is_float(node) else node
        except UnsupportedOpError as error:
            refused.append(error)
            return node

    body = rewrite(func.body, (tvm.ir.Call, replace_call), (tirx.Cast, bound_cast), (tirx.Mod, divide))
    if refused and required:
        raise refused[0]
    return func.with_body(body)


def _no_kernel(name: str, operand: Any) -> UnsupportedOpError:
    return UnsupportedOpError(
        f"The step needs {name} of {operand.ty}, which has no exact kernel: its bits would depend on the device's C "
        "library. Rewrite the model without it or compile with --math fast (in Python math='fast')."
    )


def _exact(name: str, call: Any) -> Any:
    """The exact form of one call, computed in float32 if its type is float16."""
    arguments = [_as_float32(name, argument) for argument in call.args]
    if name in exact_math.UNARY:
        value = exact_math.UNARY[name](arguments[0])
    elif name == "pow":
        value = _power(arguments[0], arguments[1])
    elif name in ("isnan", "isinf", "isfinite"):
        return _CLASSES[name](arguments[0])
    elif name in _TO_EVEN:
        value = round_to_even(arguments[0])
    else:
        raise _no_kernel(name, call.args[0])
    return value if value.ty == call.ty else tirx.Cast(call.ty, value)


def _as_float32(name: str, value: Any) -> Any:
    dtype = str(value.ty.dtype)
    if dtype.startswith("float32") or not dtype.startswith("float"):
        return value
    if dtype.startswith("float16"):
        return tirx.Cast(dtype.replace("float16", "float32"), value)
    raise UnsupportedOpError(
        f"The step computes {name} in {dtype}, for which there is no exact kernel; use float32 in the model."
    )


def _power(base: Any, exponent: Any) -> Any:
    """base ** exponent: a root or products for a constant 0.5 or small whole number, else by logarithms."""
    constant = exponent.value if isinstance(exponent, tirx.Broadcast) else exponent
    if isinstance(constant, (tirx.FloatImm, tirx.IntImm)):
        number = float(constant.value)
        if number == 0.5:
            return exact_math.sqrt(base)
        if number.is_integer() and abs(number) <= LARGEST_PRODUCT:
            return exact_math.power(base, int(number))
    return wide_math.power(base, exponent)


def _remainder(node: Any) -> Any:
    """The remainder of a division of floats, with the sign of the dividend."""
    value = wide_math.remainder(_as_float32("fmod", node.a), _as_float32("fmod", node.b))
    return value if value.ty == node.ty else tirx.Cast(node.ty, value)


def _is_float(value: Any) -> bool:
    return str(value.ty.dtype).startswith(("float", "bfloat"))


def _bounded(cast: Any) -> Any:
    """A conversion to an integer with the operand inside the integer's range; NaN becomes the lowest."""
    integer = str(cast.ty.dtype).split("x")[0]
    bits = int(integer.removeprefix("u").removeprefix("int"))
    low, high = (0, 2**bits - 1) if integer.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    value = _as_float32("a cast", cast.value) if "16" in str(cast.value.ty.dtype) else cast.value
    dtype = value.ty.dtype
    precision = 53 if str(dtype).startswith("float64") else 24
    top = float(high) if high < 2**precision else float(high + 1 - 2 ** (high.bit_length() - precision))
    value = fence(value)  # hidden, or the bounds would be left out where a number could not pass them: NaN can
    return tirx.Cast(cast.ty, tirx.min(tirx.max(value, tirx.const(float(low), dtype)), tirx.const(top, dtype)))


def _magnitude(x: Any) -> Any:
    return tirx.max(x, tirx.const(0.0, x.ty.dtype) - x)


def _is_nan(x: Any) -> Any:
    """`fence(x) == x` is false only for NaN; without the fence TVM simplifies it to True."""
    return tirx.Select(fence(x) == x, tirx.const(False, "bool"), tirx.const(True, "bool"))


_CLASSES: dict[str, Callable[[Any], Any]] = {
    "isnan": _is_nan,
    "isinf": lambda x: _magnitude(x) == tirx.const(float("inf"), x.ty.dtype),
    "isfinite": lambda x: _magnitude(x) < tirx.const(float("inf"), x.ty.dtype),
}
