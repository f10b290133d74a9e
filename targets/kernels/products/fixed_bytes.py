"""Inputs in fixed point as the bytes of a base-256 number, for instructions that multiply bytes four by four.

The integers X are those of `fixed_point`. Here each is D₀ + 2⁸·D₁ + 2¹⁶·D₂ + 2²⁴·D₃ with digits from −128 to 127.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.products.fixed_point import block_count, integers_of, write_factor
from astroedge.targets.kernels.stored_weights import NIBBLE_ZERO, cast
from astroedge.targets.precision.storage import BLOCK, Storage
from astroedge.targets.tir_builder import (
    Buffer,
    Expression,
    in_vectors,
    independent,
    kernel,
    load,
    loop,
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
    length = QUAD * quad_count(size)
    with kernel("fixed_bytes") as built:
        operands = _Operands(
            built.argument("x", (batch * size,), dtype),
            built.argument("digits", (batch * DIGITS * length,), "int8"),
            built.argument("offsets", (batch * storage.scale_rows(size) * DIGITS,), "int32"),
            built.argument("factors", (batch * block_count(size),), "float32"),
            size,
            storage.group,
        )
        whole, rest = divmod(size, BLOCK)
        with independent(batch) as row:
            if whole:
                with loop(whole) as block:
                    operands.write_block(row, block, BLOCK)
            if rest:
                operands.write_block(row, tirx.const(whole, "int32"), rest)
            for digit in range(DIGITS):
                for index in range(size, length):
                    place = (row * DIGITS + digit) * length + index
                    tir.buffer_store(operands.digits, tirx.const(0, "int8"), [place])
    return built.function


@dataclass(frozen=True)
class _Operands:
    """The parameters of the kernel, whose rows have `size` inputs, `group` of which share an offset."""

    x: Buffer
    digits: Buffer
    offsets: Buffer
    factors: Buffer
    size: int
    group: int

    def write_block(self, row: Expression, block: Expression, count: int) -> None:
        """Write what is made of the `count` inputs of a block."""
        start = row * self.size + block * BLOCK
        place = row * block_count(self.size) + block
        multiplier = write_factor(self.x, start, count, self.factors, place)
        whole, rest = divmod(count, self.group)
        before = block * (BLOCK // self.group)
        if whole:
            with loop(whole) as group:
                self._write_group(row, before + group, self.group, multiplier)
        if rest:
            self._write_group(row, before + whole, rest, multiplier)

    def _write_group(self, row: Expression, group: Expression, count: int, multiplier: Expression) -> None:
        """Write the digits of the `count` inputs of a group, and its offsets."""
        sums = tir.alloc_buffer((DIGITS * _LANES,), "int32")
        for digit in range(DIGITS):
            store(sums, digit * _LANES, _LANES, zero("int32", _LANES))
        self._write_digits(row, group * self.group, count, multiplier, sums)
        place = (row * -(-self.size // self.group) + group) * DIGITS
        for digit in range(DIGITS):
            vector = load(sums, digit * _LANES, _LANES)
            total = tirx.call_llvm_pure_intrin("int32", "llvm.vector.reduce.add", vector)
            tir.buffer_store(self.offsets, total * tirx.const(-NIBBLE_ZERO, "int32"), [place + digit])

    def _write_digits(
        self, row: Expression, first: Expression, count: int, multiplier: Expression, sums: Buffer
    ) -> None:
        """Write the digits of `count` inputs from `first` of a row, and add them to `sums`, 16 lanes for each kind."""
        length = QUAD * quad_count(self.size)

        def write(offset: Expression, lanes: int) -> None:
            rest = integers_of(self.x, row * self.size + first + offset, lanes, 1, multiplier)
            eight = splat(tirx.const(8, "int32"), lanes)
            for digit in range(DIGITS):
                value = cast(rest, "int8", lanes)
                store(self.digits, (row * DIGITS + digit) * length + first + offset, lanes, value)
                wide = cast(value, "int32", lanes)
                store(sums, digit * _LANES, lanes, load(sums, digit * _LANES, lanes) + wide)
                rest = (rest - wide) >> eight

        in_vectors(count, write, _LANES)
