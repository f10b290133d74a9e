"""The list of active inputs, built once per spike tensor and shared by every matrix that reads it."""

from __future__ import annotations

from math import ceil

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.authoring import Buffer, Expression, kernel
from astroedge.targets.weight_format import GROUP


def bounds_size(size: int) -> int:
    """The length of `bounds` for a spike tensor of `size` elements."""
    return ceil(size / GROUP) + 1


def active_list(size: int, dtype: str, batch: int = 1) -> tirx.PrimFunc:
    """Kernel (x, indices, bounds, counter): which of the `size` elements of each row of x are not zero, ascending.

    - `x`: (batch·size,) of `dtype` (bool, an integer or a float type; −0.0 is zero, NaN is not);
    - `indices`: (batch·size,) int32: row m's list starts at m·size; what lies behind its end has no meaning;
    - `bounds`: (batch·bounds_size(size),) int32: in row m's part, bounds[g] active elements lie below index 64·g; the
      last entry is the count. `positions` reads from it where the elements of a block are listed;
    - `counter`: (1,) int64, to which the counts of all rows are added.

    Bounds at every 64 elements, the groups of int4 weights, serve readers of whole blocks of 256 too.
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

            def list_group(group: Expression, length: int, base: Expression = base, bound: Expression = bound) -> None:
                with tir.serial(0, length) as offset:
                    index = group * GROUP + offset
                    # The index is written whether active or not; only an active one moves the end of the list.
                    tir.buffer_store(indices, index, [base + count[0]])
                    tir.buffer_store(count, count[0] + is_active(x[base + index]), [0])
                tir.buffer_store(bounds, count[0], [bound + group + 1])

            whole, rest = divmod(size, GROUP)
            if whole:
                with tir.serial(0, whole) as group:
                    list_group(group, GROUP)
            if rest:
                list_group(tirx.const(whole, "int32"), rest)
            tir.buffer_store(counter, counter[0] + tirx.Cast("int64", count[0]), [0])
    return built.function


def positions(
    bounds: Buffer, row: Expression, size: int, block: Expression, length: int
) -> tuple[Expression, Expression]:
    """Where in row `row`'s list the elements of `block` begin and end: those from block·length, `length` of them.

    `size` is that of the spike tensor, `length` a multiple of 64.
    """
    last = bounds_size(size) - 1
    first = row * (last + 1)
    step = length // GROUP
    end = (block + 1) * step if last % step == 0 else tirx.min((block + 1) * step, last)
    return bounds[first + block * step], bounds[first + end]


def is_active(element: Expression) -> Expression:
    """1 or 0; asked by `==`, since TVM's `!=` is False for a NaN."""
    if str(element.ty.dtype) == "bool":
        return tirx.Cast("int32", element)
    return tirx.Select(element == 0, 0, 1)
