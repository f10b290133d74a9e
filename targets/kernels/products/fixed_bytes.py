"""Inputs in fixed point as the bytes of a base-256 number, for instructions that multiply bytes four by four.

The integers X are those of `fixed_point`. Here each is D₀ + 2⁸·D₁ + 2¹⁶·D₂ + 2²⁴·D₃ with digits from −128 to 127.
"""

from __future__ import annotations

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.products.fixed_point import block_count, blocks, integers_of, write_factor
from astroedge.targets.kernels.stored_weights import NIBBLE_ZERO, cast
from astroedge.targets.precision.storage import Storage
from astroedge.targets.tir_builder import (
    Buffer,
    Expression,
    in_vectors,
    independent,
    kernel,
    load,
    splat,
    store,
    zero,
)

DIGITS = 4
QUAD = 4
"""Inputs that one instruction multiplies and adds."""

_LANES = 16


def quad_count(size: int) -> int:
    """Quads of neighbouring inputs, the last filled up with zeros."""
    return -(-size // QUAD)


def fixed_bytes(batch: int, size: int, dtype: str, storage: Storage) -> tirx.PrimFunc:
    """Kernel (x, digits, offsets, factors): each row of x, `size` elements, as digits and factors 2ᵉ⁻²⁹ per block.

    - `x`: (batch·size,) of `dtype`, float32 or bool;
    - `digits`: (batch·4·4·quad_count(size),) int8: per row the digits D₀ of all inputs and as many zeros as fill the
      last quad, then D₁, D₂ and D₃;
    - `offsets`: (batch·groups·4,) int32: per row and group of `storage` what the sum of each digit times nibbles, which
      are weights + 8, begins with: −8 times the sum of the digits;
    - `factors`: as of `fixed_point`.
    """
    length, groups = QUAD * quad_count(size), storage.scale_rows(size)
    with kernel("fixed_bytes") as built:
        x = built.argument("x", (batch * size,), dtype)
        digits = built.argument("digits", (batch * DIGITS * length,), "int8")
        offsets = built.argument("offsets", (batch * groups * DIGITS,), "int32")
        factors = built.argument("factors", (batch * block_count(size),), "float32")
        with independent(batch) as row:
            for block, (start, end) in enumerate(blocks(size)):
                multiplier = write_factor(x, row * size + start, end - start, factors, row * block_count(size) + block)
                for first in range(start, end, storage.group):
                    count = min(storage.group, end - first)
                    sums = tir.alloc_buffer((DIGITS * _LANES,), "int32")
                    for digit in range(DIGITS):
                        store(sums, digit * _LANES, _LANES, zero("int32", _LANES))
                    place = row * DIGITS * length + first
                    _write_digits(x, row * size + first, count, multiplier, digits, place, length, sums)
                    at = (row * groups + storage.group_of(first)) * DIGITS
                    for digit in range(DIGITS):
                        vector = load(sums, digit * _LANES, _LANES)
                        total = tirx.call_llvm_pure_intrin("int32", "llvm.vector.reduce.add", vector)
                        tir.buffer_store(offsets, total * tirx.const(-NIBBLE_ZERO, "int32"), [at + digit])
            for digit in range(DIGITS):
                for index in range(size, length):
                    place = (row * DIGITS + digit) * length + index
                    tir.buffer_store(digits, tirx.const(0, "int8"), [place])
    return built.function


def _write_digits(
    x: Buffer,
    first: Expression,
    count: int,
    multiplier: Expression,
    digits: Buffer,
    place: Expression,
    length: int,
    sums: Buffer,
) -> None:
    """Write the digits of `count` inputs from `first` at `place`, those of the next kind `length` further on.

    They are added to `sums`, 16 lanes for each kind of digit.
    """

    def write(offset: Expression, lanes: int) -> None:
        rest = integers_of(x, first + offset, lanes, 1, multiplier)
        eight = splat(tirx.const(8, "int32"), lanes)
        for digit in range(DIGITS):
            value = cast(rest, "int8", lanes)
            store(digits, place + digit * length + offset, lanes, value)
            wide = cast(value, "int32", lanes)
            store(sums, digit * _LANES, lanes, load(sums, digit * _LANES, lanes) + wide)
            rest = (rest - wide) >> eight

    in_vectors(count, write, _LANES)
