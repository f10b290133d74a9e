"""The list of active inputs, built once per spike tensor and shared by every matrix that reads it."""

from __future__ import annotations

from math import ceil

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.authoring import BLOCK, Expression, blocks, kernel


def bounds_size(size: int) -> int:
    """The length of `bounds` for a spike tensor of `size` elements."""
    return ceil(size / BLOCK) + 1


def active_list(size: int, dtype: str, batch: int = 1) -> tirx.PrimFunc:
    """Kernel (x, indices, bounds, counter): which of the `size` elements of each row of x are not zero, ascending.

    - `x`: (batch·size,) of `dtype` (bool, an integer or a float type; −0.0 is zero, NaN is not);
    - `indices`: (batch·size,) int32: row m's list starts at m·size; what lies behind its end has no meaning;
    - `bounds`: (batch·bounds_size(size),) int32: in row m's part, bounds[b] active elements lie below index 256·b, so
      that positions bounds[b] to bounds[b + 1] of the list are those of block b; the last entry is the count;
    - `counter`: (1,) int64, to which the counts of all rows are added.

    Branch-free: the time depends on `size` alone.
    """
    with kernel("active_list") as built:
        x = built.argument("x", (batch * size,), dtype)
        indices = built.argument("indices", (batch * size,), "int32")
        bounds = built.argument("bounds", (batch * bounds_size(size),), "int32")
        counter = built.argument("counter", (1,), "int64")
        count = tir.alloc_buffer((1,), "int32")
        with tir.serial(0, batch) as row:
            base, bound = row * size, row * bounds_size(size)
            tir.buffer_store(count, 0, [0])
            tir.buffer_store(bounds, 0, [bound])
            for block, (start, end) in enumerate(blocks(size)):
                with tir.serial(0, end - start) as offset:
                    # The index is written whether active or not; only an active one moves the end of the list.
                    tir.buffer_store(indices, start + offset, [base + count[0]])
                    tir.buffer_store(count, count[0] + is_active(x[base + start + offset]), [0])
                tir.buffer_store(bounds, count[0], [bound + block + 1])
            tir.buffer_store(counter, counter[0] + tirx.Cast("int64", count[0]), [0])
    return built.function


def is_active(element: Expression) -> Expression:
    """1 or 0; asked by `==`, since TVM's `!=` is False for a NaN."""
    if str(element.ty.dtype) == "bool":
        return tirx.Cast("int32", element)
    return tirx.Select(element == 0, 0, 1)
