"""Inputs of a product with quantised weights as integers: 30 bits below the largest of each block of 256.

In a block whose largest magnitude lies in [2ᵉ, 2ᵉ⁺¹) every input x becomes the integer X nearest to x · 2²⁹⁻ᵉ. Inputs
down to 1/64 of the largest keep all their bits; what smaller ones lose is 2⁻³⁰ of the largest, far below the rounding
of a float32 sum. Sums of X times weights are then integers, exact in any order.
"""

from __future__ import annotations

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.kernels.stored_weights import cast, reinterpret
from astroedge.targets.precision.storage import BLOCK
from astroedge.targets.tir_builder import (
    Buffer,
    Expression,
    hold,
    in_vectors,
    independent,
    kernel,
    load,
    splat,
    store,
    zero,
)

PLANES = 2
LOW_BITS = 15
"""Bits of the low plane: X = high · 2¹⁵ + low, with low from 0 to 2¹⁵ − 1 and high an int16."""

LANES = 16
_BITS = 29
_EXPONENT_BIAS = 127
_MANTISSA_BITS = 23
_NOT_FINITE = 255


def pair_count(size: int) -> int:
    """Pairs of neighbouring inputs, the last with a zero if `size` is odd."""
    return (size + 1) // 2


def block_count(size: int) -> int:
    """How many blocks of 256 inputs there are, each with a factor of its own."""
    return -(-size // BLOCK)


def blocks(rows: int) -> list[tuple[int, int]]:
    """The (start, end) of each block of inputs."""
    return [(start, min(start + BLOCK, rows)) for start in range(0, rows, BLOCK)]


def fixed_point(batch: int, size: int, dtype: str = "float32") -> tirx.PrimFunc:
    """Kernel (x, planes, factors): each row of x, `size` elements, as integers X and factors 2ᵉ⁻²⁹ per block.

    - `x`: (batch·size,) of `dtype`, float32 or bool;
    - `planes`: (batch·2·pair_count(size),) int32: per row the high halves of all X, then the low ones; each int32 holds
      those of two neighbouring inputs as int16, the first in its low half;
    - `factors`: (batch·block_count(size),) float32; NaN for a block that holds a NaN or an infinity.
    """
    pairs = pair_count(size)
    with kernel("fixed_point") as built:
        x = built.argument("x", (batch * size,), dtype)
        planes = built.argument("planes", (batch * PLANES * pairs,), "int32")
        factors = built.argument("factors", (batch * block_count(size),), "float32")
        with independent(batch) as row:
            for block, (start, end) in enumerate(blocks(size)):
                first = row * size + start
                place = row * block_count(size) + block
                multiplier = write_factor(x, first, end - start, factors, place)
                high = row * PLANES * pairs + start // 2
                _write_planes(x, first, end - start, multiplier, planes, (high, high + pairs))
    return built.function


def write_factor(x: Buffer, first: Expression, length: int, factors: Buffer, place: Expression) -> Expression:
    """Write the factor of a block at `place`; returns what its inputs are multiplied by to be integers."""
    exponent = _largest_exponent(x, first, length)
    # 2ᵉ⁻²⁹, from the exponent field of 2ᵉ
    factor = tirx.reinterpret("float32", (exponent - _BITS) << _MANTISSA_BITS)
    unknown = tirx.const(float("nan"), "float32")
    tir.buffer_store(factors, tirx.Select(exponent == _NOT_FINITE, unknown, factor), [place])
    inverse = 2 * _EXPONENT_BIAS + _BITS - exponent
    return hold(tirx.reinterpret("float32", inverse << _MANTISSA_BITS))


def integers_of(x: Buffer, start: Expression, lanes: int, stride: int, multiplier: Expression) -> Expression:
    """X of inputs that are `stride` apart, as int32."""
    value = cast(load(x, start, lanes, stride), "float32", lanes) * splat(multiplier, lanes)
    return cast(tirx.call_llvm_pure_intrin(value.ty, "llvm.rint", value), "int32", lanes)


def _largest_exponent(x: Buffer, first: Expression, length: int) -> Expression:
    """The exponent field of the largest magnitude, at least 30, so that 2⁻ᵉ⁺²⁹ is a normal number."""
    peaks = tir.alloc_buffer((LANES,), "int32")
    store(peaks, 0, LANES, zero("int32", LANES))

    def take(offset: Expression, lanes: int) -> None:
        bits = reinterpret("int32", cast(load(x, first + offset, lanes), "float32", lanes), lanes)
        magnitude = tirx.bitwise_and(bits, splat(tirx.const(0x7FFFFFFF, "int32"), lanes))
        store(peaks, 0, lanes, tirx.max(load(peaks, 0, lanes), magnitude))

    in_vectors(length, take, LANES)
    peak = tirx.call_llvm_pure_intrin("int32", "llvm.vector.reduce.smax", load(peaks, 0, LANES))
    return hold(tirx.max(peak >> _MANTISSA_BITS, tirx.const(_BITS + 1, "int32")))


def _write_planes(
    x: Buffer,
    first: Expression,
    length: int,
    multiplier: Expression,
    planes: Buffer,
    places: tuple[Expression, Expression],
) -> None:
    """Write the pairs of a block to both planes, which begin at `places`."""

    def integers(start: Expression, lanes: int, stride: int) -> Expression:
        return integers_of(x, first + start, lanes, stride, multiplier)

    def put(pair: Expression, lanes: int, even: Expression, odd: Expression) -> None:
        def number(value: int) -> Expression:
            return splat(tirx.const(value, "int32"), lanes)

        def both(low: Expression, high: Expression) -> Expression:
            return tirx.bitwise_or(tirx.bitwise_and(low, number(0xFFFF)), high << number(16))

        low_mask = number(2**LOW_BITS - 1)
        high, low = places
        store(planes, high + pair, lanes, both(even >> number(LOW_BITS), odd >> number(LOW_BITS)))
        store(planes, low + pair, lanes, both(tirx.bitwise_and(even, low_mask), tirx.bitwise_and(odd, low_mask)))

    in_vectors(
        length // 2,
        lambda pair, lanes: put(pair, lanes, integers(2 * pair, lanes, 2), integers(2 * pair + 1, lanes, 2)),
        LANES,
    )
    if length % 2:
        last = integers(tirx.const(length - 1, "int32"), 1, 1)
        put(tirx.const(length // 2, "int32"), 1, last, tirx.const(0, "int32"))
