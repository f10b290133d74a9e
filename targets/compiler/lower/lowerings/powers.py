"""Powers, element by element; TVM's own lowering warns on standard error of every exponent of 3 and more."""

from __future__ import annotations

import numpy as np
from tvm import relax, te, tirx

from astroedge.targets.compiler.lower.lowerings.relax_calls import shape_of


def lower_power(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """power(x, y) of operands that broadcast; what each call of `pow` is worked out by is decided behind it."""
    dtype = str(call.ty.dtype.dtype)

    def power(x: te.Tensor, y: te.Tensor) -> te.Tensor:
        shape = np.broadcast_shapes(*(tuple(map(int, item.shape)) for item in (x, y)))

        def element(operand: te.Tensor, index: tuple[tirx.Var, ...]) -> tirx.PrimExpr:
            own = index[len(index) - len(operand.shape) :]
            return operand(*(0 if int(n) == 1 else i for n, i in zip(operand.shape, own, strict=True)))

        return te.compute(
            shape, lambda *index: tirx.call_intrin(dtype, "tirx.pow", element(x, index), element(y, index)), "power"
        )

    if not dtype.startswith("float") or not shape_of(call):
        return call.op.get_attr("FLegalize")(builder, call)
    return builder.call_te(power, *call.args, primfunc_name_hint="power")


LOWERINGS = {"relax.power": lower_power}
