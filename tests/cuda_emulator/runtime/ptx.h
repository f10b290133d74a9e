/* What the C that was made of PTX calls: the instructions that take more than an expression. C11.
 *
 * Registers are unsigned integers, which hold the bits of floating-point numbers too. A result that is not a number has
 * the bits that GPUs give, not those of the processor this runs on. */
#ifndef EMULATED_PTX_H
#define EMULATED_PTX_H
#include <string.h>

#include "ptx_integers.h"
#include "races.h"
#include "threads.h"

#ifdef EMULATED_RACES
#define PTX_WATCH_READ(at, size) emulated_read(at, size)
#define PTX_WATCH_WRITE(at, size) emulated_write(at, size)
#define PTX_WATCH_STRONG_READ(at, size) emulated_atomic(at, size, 1, 0)
#define PTX_WATCH_STRONG_WRITE(at, size) emulated_atomic(at, size, 0, 1)
#define PTX_WATCH_ATOMIC(at, size) emulated_atomic(at, size, 1, 1)
#define PTX_FENCE() emulated_fence()
#else
#define PTX_WATCH_READ(at, size) (void)0
#define PTX_WATCH_WRITE(at, size) (void)0
#define PTX_WATCH_STRONG_READ(at, size) (void)0
#define PTX_WATCH_STRONG_WRITE(at, size) (void)0
#define PTX_WATCH_ATOMIC(at, size) (void)0
#define PTX_FENCE() __atomic_thread_fence(__ATOMIC_SEQ_CST) /* the host may look on */
#endif

/* Memory by type. An address that is no multiple of the size is an error on a GPU, and here. */
#define PTX_MEMORY(type, ctype)                                                                                        \
    PTX ctype ptx_load_##type(const unsigned char *at) {                                                               \
        if ((uintptr_t)at % sizeof(ctype))                                                                             \
            emulated_fail("a load of %u bytes from the address %p", (unsigned)sizeof(ctype), (const void *)at);        \
        return *(const volatile ctype *)at;                                                                            \
    }                                                                                                                  \
    PTX void ptx_store_##type(unsigned char *at, ctype value) {                                                        \
        if ((uintptr_t)at % sizeof(ctype))                                                                             \
            emulated_fail("a store of %u bytes to the address %p", (unsigned)sizeof(ctype), (void *)at);               \
        *(volatile ctype *)at = value;                                                                                 \
    }
PTX_MEMORY(b8, uint8_t)
PTX_MEMORY(u8, uint8_t)
PTX_MEMORY(s8, int8_t)
PTX_MEMORY(b16, uint16_t)
PTX_MEMORY(u16, uint16_t)
PTX_MEMORY(s16, int16_t)
PTX_MEMORY(b32, uint32_t)
PTX_MEMORY(u32, uint32_t)
PTX_MEMORY(s32, int32_t)
PTX_MEMORY(b64, uint64_t)
PTX_MEMORY(u64, uint64_t)
PTX_MEMORY(s64, int64_t)

/* Floating-point numbers and their bits. */
PTX float ptx_f32(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
PTX double ptx_f64(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
PTX uint32_t ptx_bits_f32(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
PTX uint64_t ptx_bits_f64(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
#define ptx_nan(x) ((x) != (x))
#define PTX_NAN_f32 ptx_f32(0x7fffffffu)
#define PTX_NAN_f64 ptx_f64(0xfff8000000000000ull)
/* By the bits: to a compiler one NaN is as good as another. */
PTX float ptx_result_f32(float value) {
    return (ptx_bits_f32(value) & 0x7fffffffu) > 0x7f800000u ? PTX_NAN_f32 : value;
}
PTX double ptx_result_f64(double value) {
    return (ptx_bits_f64(value) & ~(1ull << 63)) > 0x7ff0000000000000ull ? PTX_NAN_f64 : value;
}

#define PTX_ARITHMETIC(type, ctype, suffix)                                                                            \
    PTX ctype ptx_add_##type(ctype a, ctype b) { return ptx_result_##type(a + b); }                                    \
    PTX ctype ptx_sub_##type(ctype a, ctype b) { return ptx_result_##type(a - b); }                                    \
    PTX ctype ptx_mul_##type(ctype a, ctype b) { return ptx_result_##type(a * b); }                                    \
    PTX ctype ptx_div_##type(ctype a, ctype b) { return ptx_result_##type(a / b); }                                    \
    PTX ctype ptx_sqrt_##type(ctype a) { return ptx_result_##type(__builtin_sqrt##suffix(a)); }                        \
    PTX ctype ptx_min_##type(ctype a, ctype b) {                                                                       \
        if (ptx_nan(a)) return ptx_result_##type(b);                                                                   \
        return ptx_nan(b) || a < b || (a == b && __builtin_signbit(a)) ? a : b;                                        \
    }                                                                                                                  \
    PTX ctype ptx_max_##type(ctype a, ctype b) {                                                                       \
        if (ptx_nan(a)) return ptx_result_##type(b);                                                                   \
        return ptx_nan(b) || a > b || (a == b && !__builtin_signbit(a)) ? a : b;                                       \
    }
PTX_ARITHMETIC(f32, float, f)
PTX_ARITHMETIC(f64, double, )
PTX float ptx_min_nan(float a, float b) { return ptx_nan(a) || ptx_nan(b) ? PTX_NAN_f32 : ptx_min_f32(a, b); }
PTX float ptx_max_nan(float a, float b) { return ptx_nan(a) || ptx_nan(b) ? PTX_NAN_f32 : ptx_max_f32(a, b); }
PTX double ptx_widen(float a) { return ptx_result_f64((double)a); }
PTX float ptx_narrow(double a) { return ptx_result_f32((float)a); }
float fmaf(float, float, float);
double fma(double, double, double);
PTX float ptx_fma_f32(float a, float b, float c) { return ptx_result_f32(fmaf(a, b, c)); }
PTX double ptx_fma_f64(double a, double b, double c) { return ptx_result_f64(fma(a, b, c)); }

#define PTX_SIZE(x) __builtin_fabs((double)(x))
#define ptx_is_finite(x) (PTX_SIZE(x) < __builtin_inf())
#define ptx_is_infinite(x) (PTX_SIZE(x) == __builtin_inf())
#define ptx_is_number(x) (!ptx_nan(x))
#define ptx_is_notanumber(x) ptx_nan(x)
#define PTX_LEAST_NORMAL(x) (sizeof(x) == 4 ? 0x1p-126 : 0x1p-1022)
#define ptx_is_normal(x) (ptx_is_finite(x) && PTX_SIZE(x) >= PTX_LEAST_NORMAL(x))
#define ptx_is_subnormal(x) ((x) != 0 && PTX_SIZE(x) < PTX_LEAST_NORMAL(x))

/* To a whole number that is still floating-point, with its sign also where it is zero. `whole` is the size from which
 * on there is nothing behind the point: adding and taking it away rounds to the nearest even one. */
#define PTX_ROUNDING(type, ctype, suffix, whole)                                                                       \
    PTX ctype ptx_rni_##type(ctype x) {                                                                                \
        volatile ctype shifted = __builtin_fabs##suffix(x) + whole;                                                    \
        if (!(__builtin_fabs##suffix(x) < whole)) return ptx_result_##type(x);                                         \
        return __builtin_copysign##suffix(shifted - whole, x);                                                         \
    }                                                                                                                  \
    PTX ctype ptx_rzi_##type(ctype x) {                                                                                \
        if (!(__builtin_fabs##suffix(x) < whole)) return ptx_result_##type(x);                                         \
        return __builtin_copysign##suffix((ctype)(int64_t)x, x);                                                       \
    }                                                                                                                  \
    PTX ctype ptx_rmi_##type(ctype x) {                                                                                \
        const ctype cut = ptx_rzi_##type(x);                                                                           \
        return cut > x ? cut - 1 : cut;                                                                                \
    }                                                                                                                  \
    PTX ctype ptx_rpi_##type(ctype x) {                                                                                \
        const ctype cut = ptx_rzi_##type(x);                                                                           \
        return cut < x ? __builtin_copysign##suffix(cut + 1, x) : cut;                                                 \
    }
PTX_ROUNDING(f32, float, f, 0x1p23f)
PTX_ROUNDING(f64, double, , 0x1p52)

PTX int64_t ptx_s_of(double x, unsigned bits, uint64_t nan) {
    const double end = (double)(1ull << (bits - 1));
    if (ptx_nan(x)) return bits == 64 ? (int64_t)nan : (int64_t)(nan << (64 - bits)) >> (64 - bits);
    if (x >= end) return (int64_t)((1ull << (bits - 1)) - 1);
    return x < -end ? (int64_t)(~0ull << (bits - 1)) : (int64_t)x;
}
PTX uint64_t ptx_u_of(double x, unsigned bits, uint64_t nan) {
    if (ptx_nan(x)) return nan;
    if (x >= 2 * (double)(1ull << (bits - 1))) return ~0ull >> (64 - bits);
    return x < 0 ? 0 : (uint64_t)x;
}
/* binary16. Every number of it is a float; the other way rounds once, from a double that every float is. */
PTX float ptx_from_half(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
    if (exponent == 31) return fraction ? PTX_NAN_f32 : ptx_f32(sign | 0x7f800000u);
    if (exponent == 0) return ptx_f32(sign | ptx_bits_f32((float)fraction * 0x1p-24f));
    return ptx_f32(sign | (exponent + 112) << 23 | fraction << 13);
}
PTX uint16_t ptx_to_half(double x) {
    const uint16_t sign = __builtin_signbit(x) ? 0x8000 : 0;
    const double size = PTX_SIZE(x);
    if (ptx_nan(x)) return 0x7fff;
    if (size >= 65520.0) return sign | 0x7c00;
    const unsigned exponent = size < 0x1p-14 ? 1 : (unsigned)(ptx_bits_f64(size) >> 52) - 1023 + 15;
    const double unit = ptx_f64((uint64_t)(exponent - 25 + 1023) << 52); /* of the last place */
    return sign | (uint16_t)(ptx_rni_f64(size / unit) + (double)((exponent - 1) << 10));
}

/* Warps. `limits` holds the segments in bits 8 to 12 and the clamp in bits 0 to 4, as shfl has it. */
PTX uint32_t ptx_taken(const uint64_t *values, unsigned mask, unsigned lane, int fits, int from, int *valid) {
    *valid = fits;
    if (fits && !(mask >> from & 1))
        emulated_fail("shfl.sync: lane %u reads lane %d, which the mask %#x lacks", lane, from, mask);
    return (uint32_t)values[fits ? from : (int)lane];
}
#define PTX_SHUFFLE(mode, source, test)                                                                                \
    PTX uint32_t ptx_shuffle_##mode(uint32_t value, uint32_t given, uint32_t limits, uint32_t mask, int *valid) {      \
        const int lane = (int)emulated_self->lane, segments = limits >> 8 & 31, clamp = limits & 31, by = given & 31;  \
        const int last = (lane & segments) | (clamp & ~segments), first = lane & segments, from = source;              \
        (void)first;                                                                                                   \
        return ptx_taken(emulated_exchange(mask, value, "shfl.sync"), mask, lane, test, from, valid);                  \
    }
PTX_SHUFFLE(up, lane - by, from >= last)
PTX_SHUFFLE(down, lane + by, from <= last)
PTX_SHUFFLE(bfly, lane ^ by, from <= last)
PTX_SHUFFLE(idx, first | (by & ~segments), from <= last)

PTX uint32_t ptx_vote_ballot(uint32_t mask, int vote) {
    const uint64_t *votes = emulated_exchange(mask, vote != 0, "vote.sync");
    uint32_t result = 0;
    for (unsigned lane = 0; lane < EMULATED_WARP; lane++)
        if (mask >> lane & 1) result |= (uint32_t)votes[lane] << lane;
    return result;
}
PTX int ptx_vote_any(uint32_t mask, int vote) { return ptx_vote_ballot(mask, vote) != 0; }
PTX int ptx_vote_all(uint32_t mask, int vote) { return ptx_vote_ballot(mask, !vote) == 0; }
PTX int ptx_vote_uni(uint32_t mask, int vote) {
    const uint32_t votes = ptx_vote_ballot(mask, vote);
    return votes == 0 || votes == mask;
}

/* A kernel, as a driver asks for it: how large its parameters are, and a launch. Returns like emulated_run. */
#define PTX_EXPORT __attribute__((visibility("default")))
#define PTX_KERNEL(name, ...)                                                                                          \
    PTX_EXPORT unsigned emulated_parameters_##name(size_t *sizes) {                                                    \
        static const size_t all[] = {__VA_ARGS__};                                                                     \
        memcpy(sizes, all, sizeof all - sizeof all[0]); /* the last one is none */                                     \
        return sizeof all / sizeof all[0] - 1;                                                                         \
    }                                                                                                                  \
    PTX_EXPORT int emulated_kernel_##name(emulated_launch *launch, char *message, size_t size) {                       \
        launch->kernel = f_##name;                                                                                     \
        launch->shared += SHARED_BYTES;                                                                                \
        return emulated_launch_once(launch, message, size);                                                            \
    }
#endif
