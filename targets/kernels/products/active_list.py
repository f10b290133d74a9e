"""The list of active inputs, built once per spike tensor and shared by every matrix that reads it."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.precision.storage import GROUP
from astroedge.targets.tir_builder import Buffer, Expression, chunks, hold, kernel, load, splat, store, zero

if TYPE_CHECKING:
    from astroedge.targets.boards.board_file import Target

HALF = 32  # elements whose bits are joined in the lanes of one vector
LANES = 16


def bounds_size(size: int) -> int:
    """The length of `bounds` for a spike tensor of `size` elements."""
    return ceil(size / GROUP) + 1


def can_compress(target: Target) -> bool:
    """Whether the processor packs the chosen lanes of a vector in one instruction."""
    return target.family.packs_lanes(target.vector_bits)


def active_list(size: int, dtype: str, batch: int = 1, compress: bool = False) -> tirx.PrimFunc:
    """Kernel (x, indices, bounds, counter): which of the `size` elements of each row of x are not zero, ascending.

    - `x`: (batch·size,) of `dtype` (bool, an integer or a float type; −0.0 is zero, NaN is not);
    - `indices`: (batch·size,) int32: row m's list starts at m·size; what lies behind its end has no meaning;
    - `bounds`: (batch·bounds_size(size),) int32: in row m's part, bounds[g] active elements lie below index 64·g; the
      last entry is the count. `positions` reads from it where the elements of a block are listed;
    - `counter`: (1,) int64, to which the counts of all rows are added.

    Bounds at every 64 elements, the groups of int4 weights, serve readers of whole blocks of 256 too. The elements of a
    group become the bits of one number, whose set bits are then listed: the silent ones cost next to nothing. With
    `compress`, which pays where `can_compress`, the indices of the active lanes of a vector are packed together.
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
                append = _append_compressed if compress else _append_bits
                append(_List(x, indices, count, base), group * GROUP, length)
                tir.buffer_store(bounds, count[0], [bound + group + 1])

            whole, rest = divmod(size, GROUP)
            if whole:
                with tir.serial(0, whole) as group:
                    list_group(group, GROUP)
            if rest:
                list_group(tirx.const(whole, "int32"), rest)
            tir.buffer_store(counter, counter[0] + tirx.Cast("int64", count[0]), [0])
    return built.function


@dataclass(frozen=True)
class _List:
    """The list of the row of x that begins at `base`, `count` indices long so far."""

    x: Buffer
    indices: Buffer
    count: Buffer
    base: Expression


def _append_compressed(row: _List, start: Expression, length: int) -> None:
    """Add what is active among `length` elements from `start`, a vector at a time.

    Whole vectors are stored, which stay inside the row: before each one, no more elements are listed than were read.
    """
    for offset, lanes in chunks(length):
        first, end = start + offset, row.base + row.count[0]
        ones = _select_active(load(row.x, row.base + first, lanes), splat(tirx.const(1, "int32"), lanes))
        if lanes == 1:
            tir.buffer_store(row.indices, first, [end])
        else:
            operands = (tirx.Ramp(first, 1, lanes), ones > zero("int32", lanes), zero("int32", lanes))
            packed = tirx.call_llvm_pure_intrin(ones.ty, "llvm.experimental.vector.compress", *operands)
            store(row.indices, end, lanes, packed)
        tir.buffer_store(row.count, row.count[0] + _sum_lanes(ones, lanes), [0])


def _append_bits(row: _List, start: Expression, length: int) -> None:
    """Add what is active among `length` elements from `start`, the set bits of one number in turn."""
    bits = tir.alloc_buffer((1,), "int64")
    tir.buffer_store(bits, _active_bits(row.x, row.base + start, length), [0])
    listed, found = hold(row.count[0]), hold(tirx.Cast("int32", tirx.popcount(bits[0])))
    with tir.serial(0, found) as position:
        tir.buffer_store(row.indices, start + _lowest_bit(bits[0]), [row.base + listed + position])
        tir.buffer_store(bits, tirx.bitwise_and(bits[0], bits[0] - tirx.const(1, "int64")), [0])
    tir.buffer_store(row.count, listed + found, [0])


def _active_bits(x: Buffer, start: Expression, length: int) -> Expression:
    """An int64 whose bit i tells whether element start + i is active, for i < length."""
    halves = [_half_bits(x, start + first, min(HALF, length - first)) for first in range(0, length, HALF)]
    low = tirx.bitwise_and(tirx.Cast("int64", halves[0]), tirx.const(2**HALF - 1, "int64"))
    if len(halves) == 1:
        return low
    return tirx.bitwise_or(low, tirx.Cast("int64", halves[1]) << tirx.const(HALF, "int64"))


def _half_bits(x: Buffer, start: Expression, length: int) -> Expression:
    """The same as an int32, for at most 32 elements."""
    wide: Expression | None = None
    total = tirx.const(0, "int32")
    for offset, lanes in chunks(length):
        places = tirx.Ramp(offset, 1, lanes) if lanes > 1 else tirx.const(offset, "int32")
        bits = _select_active(load(x, start + offset, lanes), splat(tirx.const(1, "int32"), lanes) << places)
        if lanes == LANES:  # whole vectors are joined first: one sum over the lanes serves them all
            wide = bits if wide is None else tirx.bitwise_or(wide, bits)
        else:
            total = tirx.bitwise_or(total, _sum_lanes(bits, lanes))
    return total if wide is None else tirx.bitwise_or(total, _sum_lanes(wide, LANES))


def _select_active(elements: Expression, numbers: Expression) -> Expression:
    """`numbers` where elements are active, else 0; asked by `==`, since TVM's `!=` is False for a NaN."""
    zeros = tirx.const(0, numbers.ty.dtype)
    if str(elements.ty.dtype).startswith("bool"):
        return tirx.Select(elements, numbers, zeros)
    return tirx.Select(elements == tirx.const(0, elements.ty.dtype), zeros, numbers)


def _sum_lanes(vector: Expression, lanes: int) -> Expression:
    return tirx.call_llvm_pure_intrin("int32", "llvm.vector.reduce.add", vector) if lanes > 1 else vector


def _lowest_bit(bits: Expression) -> Expression:
    """The place of the lowest set bit of an int64 that is not 0."""
    return tirx.Cast("int32", tirx.call_llvm_pure_intrin("int64", "llvm.cttz", bits, tirx.const(True, "bool")))


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


def list_length(bounds: Buffer, row: Expression, size: int) -> Expression:
    """How many elements of row `row` are active."""
    return bounds[(row + 1) * bounds_size(size) - 1]


def is_active(element: Expression) -> Expression:
    """1 or 0 as an int32."""
    return _select_active(element, tirx.const(1, "int32"))
