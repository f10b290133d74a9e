"""What lowerings share: shapes and dtypes of Relax values, and calling a finished kernel."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax

from astroedge.errors import CompileError
from astroedge.targets.tir_builder import KERNEL_ATTRIBUTE

OPAQUE = 8  # TVM's OpPatternKind.kOpaque: never fused with a neighbour


def call_kernel(
    builder: relax.BlockBuilder,
    function: tvm.tirx.PrimFunc,
    name: str,
    operands: list[relax.Expr],
    shape: tuple[int, ...],
    dtype: str,
) -> relax.Expr:
    """Call a finished kernel; fusion must not open it."""
    return _call(builder, function, name, operands, relax.TensorType(shape, dtype))


def call_kernel_of_several(
    builder: relax.BlockBuilder,
    function: tvm.tirx.PrimFunc,
    name: str,
    operands: list[relax.Expr],
    results: list[tuple[tuple[int, ...], str]],
) -> relax.Expr:
    """The same for a kernel that writes several arrays, given as shapes and dtypes; working memory comes last."""
    return _call(builder, function, name, operands, [relax.TensorType(shape, dtype) for shape, dtype in results])


def _call(
    builder: relax.BlockBuilder, function: tvm.tirx.PrimFunc, name: str, operands: list[relax.Expr], out: Any
) -> relax.Expr:
    function = function.without_attr("global_symbol").with_attrs({"op_pattern": OPAQUE, KERNEL_ATTRIBUTE: name})
    return relax.call_tir(builder.add_func(function, name), operands, out_ty=out)


def float_dtype(what: str, operands: list[relax.Expr]) -> str:
    """The dtype of the operands of a kernel that computes in float32, rounding a float16 result once.

    Raises CompileError for any but these two.
    """
    dtypes = {str(operand.ty.dtype.dtype) for operand in operands}
    if dtypes not in ({"float32"}, {"float16"}):
        raise CompileError(
            f"{what} takes {' and '.join(sorted(dtypes))}, and there are kernels for float32 and float16 only. "
            "Cast its operands in the model."
        )
    return dtypes.pop()


def as_dtype(builder: relax.BlockBuilder, value: relax.Expr, dtype: str) -> relax.Expr:
    """A value in another dtype; constants are converted here."""
    if is_constant(value):
        return value if str(value.ty.dtype.dtype) == dtype else relax.const(value.value.numpy().astype(dtype))
    emitted = value if isinstance(value, relax.Var) else builder.emit(value)
    return emitted if str(emitted.ty.dtype.dtype) == dtype else builder.emit(relax.op.astype(emitted, dtype))


def reshape(builder: relax.BlockBuilder, value: relax.Expr, shape: tuple[int, ...]) -> relax.Expr:
    """The same elements in another shape."""
    if shape == shape_of(value):
        return value
    if is_constant(value):
        return relax.const(value.value.numpy().reshape(shape))
    return builder.emit(relax.op.reshape(value, shape))


def is_constant(expression: relax.Expr) -> bool:
    """Whether the value is stored."""
    return isinstance(expression, tvm.ir.GenericConst)


def shape_of(expression: relax.Expr) -> tuple[int, ...]:
    """The static shape of an expression."""
    return tuple(int(extent) for extent in expression.ty.shape)
