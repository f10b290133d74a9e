"""Operators that neither TVM's importer has nor others can write: each is a function of elements.

A converter takes TVM's block builder, the operands and the node's attributes, and gives the Relax value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from onnx import helper
from tvm import relax, te, tirx

from astroedge.targets.pass_list import UnknownForm


def bit_cast(builder: relax.BlockBuilder, operands: Sequence[relax.Expr], attributes: dict[str, Any]) -> relax.Expr:
    """BitCast: the bits of each element read as another dtype of the same size.

    Raises UnknownForm for one without a NumPy dtype, and for Booleans, which not every byte is.
    """
    source = str(operands[0].ty.dtype.dtype)
    target = str(helper.tensor_dtype_to_np_dtype(int(attributes["to"])))
    if "bool" in (source, target) or not target.startswith(("float", "int", "uint")):
        raise UnknownForm(f"The step uses BitCast from {source} to {target}, which no kernel computes; use a Cast.")

    def bits(x: te.Tensor) -> te.Tensor:
        return te.compute(x.shape, lambda *place: tirx.reinterpret(target, x(*place)), "bits")

    return operands[0] if source == target else builder.emit_te(bits, operands[0], primfunc_name_hint="bit_cast")


CONVERTERS: dict[str, Callable[[relax.BlockBuilder, Sequence[relax.Expr], dict[str, Any]], relax.Expr]] = {
    "BitCast": bit_cast
}
