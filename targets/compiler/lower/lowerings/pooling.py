"""The largest of a window, which TVM starts at the lowest finite number: of a window of −∞ that is not the largest."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tvm
import tvm_ffi
from tvm import relax, tirx

LOWEST = {name: float(np.finfo(name).min) for name in ("float16", "float32")}


def lower_max_pool(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """TVM's own lowering, started at −∞, which its padding has as well."""
    lowered = call.op.get_attr("FLegalize")(builder, call)
    name = lowered.args[0]
    function = builder.get()[name]
    builder.update_func(name, function.with_body(tvm_ffi.structural_map(function.body, (tirx.FloatImm, _lower))))
    return lowered


def _lower(number: tirx.FloatImm) -> tvm.ir.Expr:
    """−∞ for the lowest finite number, anything else as it is."""
    dtype = str(number.ty.dtype)
    return tirx.const(float("-inf"), dtype) if number.value == LOWEST.get(dtype) else number


LOWERINGS: dict[str, Callable[[relax.BlockBuilder, relax.Call], relax.Expr]] = {
    f"relax.nn.max_pool{axes}d": lower_max_pool for axes in (1, 2, 3)
}
