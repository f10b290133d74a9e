"""Named values that TVM's passes leave named, instead of putting them back into the expressions that use them.

TVM's simplifiers replace every name whose value has no side effect by the value. Of a long chain of names that are used
twice each, as in a division digit by digit, they make an expression that doubles with every link: minutes of compiling.
A value behind this operator claims to read a state, so that its name stays; the last pass over intrinsics makes it a
fence, which is no instruction.
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm.ir import register_op_attr
from tvm.tirx.op import register_intrin_lowering

from astroedge.targets.exact.fence_products import fence

_NAME = "astroedge.keep"
_READS_STATE = 2  # TVM's CallEffectKind: not put back, yet removed where nobody reads it

register_op_attr(_NAME, "TCallEffectKind", _READS_STATE)
register_op_attr(_NAME, "TVectorizable", True)
register_intrin_lowering(_NAME, target="default", f=lambda call: fence(call.args[0], pure=False))


def keep(value: Any) -> Any:
    """`value`, a float, to be bound to a name that stays."""
    return tvm.ir.Call(tvm.ir.Op.get(_NAME), [value], ret_ty=value.ty)
