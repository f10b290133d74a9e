"""What is known of integers before the first tick: the range of computed ones, and stored ones as 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import tvm
from tvm import relax

from astroedge.targets.compiler.lower.lowerings.relax_calls import is_constant, numbers_of

INTEGERS = ("int32", "int64")
"""Dtypes of sums of integers."""

MOVES = frozenset(
    f"relax.{name}" for name in ("reshape", "permute_dims", "broadcast_to", "strided_slice", "expand_dims", "squeeze")
)
LOWEST, LARGEST = -128, 127
EXACT = 2**24  # whole numbers up to this one are float32 numbers
Range = tuple[int, int]
Array = np.ndarray[Any, np.dtype[Any]]


def integer_range(builder: relax.BlockBuilder, value: relax.Expr) -> Range:
    """The least and the greatest number that a value of integers can hold, by how it is made."""
    if is_constant(value):
        numbers = numbers_of(value)
        return int(numbers.min()), int(numbers.max())
    call = builder.lookup_binding(value) if isinstance(value, relax.Var) else value
    if isinstance(call, relax.Var):
        return integer_range(builder, call)
    every = _every(str(value.ty.dtype.dtype))
    if not isinstance(call, relax.Call) or not isinstance(call.op, tvm.ir.Op):
        return every
    if call.op.name in MOVES or (call.op.name == "relax.astype" and "int" in str(call.args[0].ty.dtype.dtype)):
        found = integer_range(builder, call.args[0])
    elif call.op.name == "relax.subtract":
        (low, high), (least, most) = (integer_range(builder, operand) for operand in call.args)
        found = low - most, high - least
    else:
        return every
    return found if every[0] <= found[0] and found[1] <= every[1] else every


def stored_integers(builder: relax.BlockBuilder, value: relax.Expr) -> Array | None:
    """The numbers of a value that is stored, or is a stored one minus its zero point; else None."""
    if is_constant(value):
        numbers: Array = numbers_of(value)
        return numbers
    call = builder.lookup_binding(value) if isinstance(value, relax.Var) else value
    if not isinstance(call, relax.Call) or not isinstance(call.op, tvm.ir.Op):
        return None
    if call.op.name not in ("relax.astype", "relax.expand_dims", "relax.reshape", "relax.subtract"):
        return None
    operands = [stored_integers(builder, operand) for operand in call.args[: 1 + (call.op.name == "relax.subtract")]]
    if any(operand is None for operand in operands):
        return None
    first, *others = (operand for operand in operands if operand is not None)
    result: Array = (first - others[0] if others else first).astype(str(call.ty.dtype.dtype))
    return result.reshape([int(extent) for extent in call.ty.shape])


def whole_bytes(matrix: Array) -> Array | None:
    """A float32 matrix of whole numbers as int8, where all fit and any sum of them is exact in float32; else None."""
    if matrix.dtype != np.float32 or len(matrix) * -LOWEST > EXACT:
        return None
    with np.errstate(invalid="ignore"):
        narrow = np.clip(np.nan_to_num(matrix), LOWEST, LARGEST).astype(np.int8)
    return narrow if np.array_equal(narrow, matrix) else None


def split_weights(matrix: Array, inputs: Range) -> tuple[Array, Array] | None:
    """Integers W[rows, columns] as int8 numbers plus an int32 offset for each column; 0 where none is needed.

    None for what is no matrix, for a column of more than 256 neighbouring numbers, for inputs, which lie within
    `inputs`, beyond an int16, and for sums beyond an int32.
    """
    if matrix.ndim != 2 or not matrix.size:
        return None
    low, high = matrix.min(axis=0), matrix.max(axis=0)
    offsets = np.where((low >= LOWEST) & (high <= LARGEST), 0, low - LOWEST)
    largest = max(-inputs[0], inputs[1])
    sums = len(matrix) * largest * (-LOWEST + int(np.abs(offsets).max()))
    if (high - offsets).max() > LARGEST or largest >= 2**15 or sums >= 2**31:
        return None
    return (matrix - offsets).astype(np.int8), offsets.astype(np.int32)


def _every(dtype: str) -> Range:
    if dtype == "bool":
        return 0, 1
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)
