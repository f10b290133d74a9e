/* float16, for processors without instructions for it: conversions in integer operations, to the last bit. */
#ifndef HALVES_H
#define HALVES_H

#include <stdint.h>

typedef union {
    float value;
    uint32_t bits;
} single;

typedef union {
    double value;
    uint64_t bits;
} wide;

/* Divide by 2^shift, to nearest, ties to even; shift from 1 to 63. */
static inline uint64_t shifted(uint64_t value, uint32_t shift)
{
    uint64_t kept = value >> shift, lost = value << (64u - shift), half = UINT64_C(1) << 63;
    return kept + (lost > half || (lost == half && (kept & 1u)));
}

/* To nearest, ties to even; the float16 of a float32 is that of the double equal to it. */
static inline uint16_t narrow_to_half(double x)
{
    wide given = {x};
    uint16_t sign = (uint16_t)(given.bits >> 48 & 0x8000u);
    uint64_t size = given.bits & (uint64_t)INT64_MAX;
    uint32_t exponent = (uint32_t)(size >> 52);
    if (size > UINT64_C(0x7ff0000000000000))
        return sign | 0x7e00u;
    if (exponent >= 1023u + 16u)
        return sign | 0x7c00u;
    if (exponent >= 1023u - 14u)
        return sign | (uint16_t)shifted(size - ((uint64_t)(1023u - 15u) << 52), 42u);
    if (exponent < 1023u - 25u)
        return sign;
    return sign | (uint16_t)shifted((size & UINT64_C(0xfffffffffffff)) | UINT64_C(0x10000000000000), 1051u - exponent);
}

static inline float widen_half(uint16_t half)
{
    single found;
    uint32_t size = half & 0x7fffu;
    found.bits = (size << 13) + (size >= 0x7c00u ? 224u << 23 : 112u << 23);
    if (size < 0x400u) {
        found.bits += 1u << 23;
        found.value -= 0x1p-14f;
    }
    found.bits |= (uint32_t)(half & 0x8000u) << 16;
    return found.value;
}

#endif
