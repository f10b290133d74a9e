"""What lowerings share: shapes and dtypes of Relax values, and calling a finished kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax

from astroedge.abi.aligned import aligned_zeros
from astroedge.errors import CompileError
from astroedge.targets.tir_builder import KERNEL_ATTRIBUTE

SHARED = 1 << 20  # bytes; a larger constant is not copied into TVM's memory
ALIGNED = 64  # bytes, as TVM wants the memory of a tensor to be
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
        return value if str(value.ty.dtype.dtype) == dtype else stored(numbers_of(value).astype(dtype))
    emitted = value if isinstance(value, relax.Var) else builder.emit(value)
    return emitted if str(emitted.ty.dtype.dtype) == dtype else builder.emit(relax.op.astype(emitted, dtype))


def reshape(builder: relax.BlockBuilder, value: relax.Expr, shape: tuple[int, ...]) -> relax.Expr:
    """The same elements in another shape."""
    if shape == shape_of(value):
        return value
    if is_constant(value):
        return stored(numbers_of(value).reshape(shape))
    return builder.emit(relax.op.reshape(value, shape))


def stored(array: NDArray[Any]) -> relax.Constant:
    """An array as a constant; TVM reads a large one where it lies, so it must stay as it is."""
    if array.nbytes < SHARED or array.dtype.kind not in "fiu":
        return relax.const(np.ascontiguousarray(array).reshape(array.shape), str(array.dtype))
    if not array.flags.c_contiguous or array.ctypes.data % ALIGNED:
        copy = aligned_zeros(array.nbytes).view(array.dtype).reshape(array.shape)
        copy[...] = array
        array = copy
    return relax.const(tvm.runtime.from_dlpack(np.asarray(_Writable(array))))


def numbers_of(constant: relax.Constant) -> NDArray[Any]:
    """What a constant holds; of numbers that NumPy has itself a view of TVM's memory, which cannot be written to."""
    if str(constant.ty.dtype.dtype).rstrip("0123456789") not in ("float", "int", "uint"):
        return np.asarray(constant.value.numpy())
    array: NDArray[Any] = np.from_dlpack(constant.value)
    array.flags.writeable = False
    return array


class _Writable:
    """An array that says of itself that it can be written to, without which NumPy hands none to another library."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


def is_constant(expression: relax.Expr) -> bool:
    """Whether the value is stored."""
    return isinstance(expression, tvm.ir.GenericConst)


def shape_of(expression: relax.Expr) -> tuple[int, ...]:
    """The static shape of an expression."""
    return tuple(int(extent) for extent in expression.ty.shape)
