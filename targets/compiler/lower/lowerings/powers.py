"""Powers, element by element; TVM's own lowering warns on standard error of every exponent of 3 and more."""

from __future__ import annotations

import numpy as np
from tvm import relax, te, tirx

from astroedge.targets.compiler.lower.lowerings.relax_calls import is_constant, numbers_of, shape_of
from astroedge.targets.exact import exact_math
from astroedge.targets.exact.exact_intrinsics import LARGEST_PRODUCT

WARNED = 3.0  # TVM warns of constant exponents in calls from here on


def lower_power(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """power(x, y) of operands that broadcast; what each call of `pow` is worked out by is decided behind it.

    A constant exponent of one number is seen here: it stands in the call, or is a chain of products already.
    """
    dtype = str(call.ty.dtype.dtype)
    number = _only_number(call.args[1])

    def power(x: te.Tensor, y: te.Tensor) -> te.Tensor:
        shape = np.broadcast_shapes(*(tuple(map(int, item.shape)) for item in (x, y)))

        def element(operand: te.Tensor, index: tuple[tirx.Var, ...]) -> tirx.PrimExpr:
            own = index[len(index) - len(operand.shape) :]
            return operand(*(0 if int(n) == 1 else i for n, i in zip(operand.shape, own, strict=True)))

        def value(*index: tirx.Var) -> tirx.PrimExpr:
            base = element(x, index)
            if number is None or (number >= WARNED and not _is_product(number)):
                return tirx.call_intrin(dtype, "tirx.pow", base, element(y, index))
            if number >= WARNED:
                return tirx.Cast(dtype, exact_math.power(tirx.Cast("float32", base), int(number)))
            return tirx.call_intrin(dtype, "tirx.pow", base, tirx.const(number, dtype))

        return te.compute(shape, value, "power")

    if not dtype.startswith("float") or not shape_of(call):
        return call.op.get_attr("FLegalize")(builder, call)
    return builder.call_te(power, *call.args, primfunc_name_hint="power")


def _only_number(exponent: relax.Expr) -> float | None:
    """The one number of a stored exponent of floats that products are made of, None for all others."""
    if not is_constant(exponent) or str(exponent.ty.dtype.dtype) not in ("float32", "float16"):
        return None
    stored = numbers_of(exponent)
    return float(stored.item()) if stored.size == 1 else None


def _is_product(number: float) -> bool:
    return number.is_integer() and number <= LARGEST_PRODUCT


LOWERINGS = {"relax.power": lower_power}
