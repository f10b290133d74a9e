/* What the C that was made of PTX calls: the instructions that take more than an expression. C11.
 *
 * Registers are unsigned integers; the bits of floating-point numbers are read and written as such. A result that is not
 * a number has the bits that GPUs give, not those of the processor this runs on. */
#ifndef EMULATED_PTX_H
#define EMULATED_PTX_H
#include <string.h>

#include "races.h"
#include "threads.h"

#define PTX static inline __attribute__((always_inline))

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
        if ((uintptr_t)at % sizeof(ctype)) emulated_fail("a load of %u bytes from the address %p", (unsigned)sizeof(ctype), (const void *)at); \
        return *(const volatile ctype *)at;                                                                            \
    }                                                                                                                  \
    PTX void ptx_store_##type(unsigned char *at, ctype value) {                                                        \
        if ((uintptr_t)at % sizeof(ctype)) emulated_fail("a store of %u bytes to the address %p", (unsigned)sizeof(ctype), (void *)at); \
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
/* By the bits: a compiler takes it that it knows what a square root is no number of. */
PTX float ptx_result_f32(float value) { return (ptx_bits_f32(value) & 0x7fffffffu) > 0x7f800000u ? PTX_NAN_f32 : value; }
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

/* To a whole number that is still floating-point, with its sign also where it is zero. `whole` is the size from which on
 * there is nothing behind the point: adding and taking it away rounds to the nearest even one. */
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
#define PTX_CLAMP(type, ctype, low, high)                                                                              \
    PTX ctype ptx_clamp_s_##type(int64_t x) {                                                                          \
        return (low) != 0 && x < (int64_t)(low)                     ? (ctype)(low)                                     \
               : (low) == 0 && x < 0                                ? 0                                                \
               : x > 0 && (uint64_t)x > (uint64_t)(high) ? (ctype)(high)                                               \
                                                                    : (ctype)x;                                        \
    }                                                                                                                  \
    PTX ctype ptx_clamp_u_##type(uint64_t x) { return x > (uint64_t)(high) ? (ctype)(high) : (ctype)x; }
PTX_CLAMP(u8, uint8_t, 0, UINT8_MAX)
PTX_CLAMP(s8, int8_t, INT8_MIN, INT8_MAX)
PTX_CLAMP(u16, uint16_t, 0, UINT16_MAX)
PTX_CLAMP(s16, int16_t, INT16_MIN, INT16_MAX)
PTX_CLAMP(u32, uint32_t, 0, UINT32_MAX)
PTX_CLAMP(s32, int32_t, INT32_MIN, INT32_MAX)
PTX_CLAMP(u64, uint64_t, 0, UINT64_MAX)
PTX_CLAMP(s64, int64_t, INT64_MIN, INT64_MAX)

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

/* Integers. Division by zero gives what GPUs give; it is no error there. */
#define PTX_DIVISION(type, ctype)                                                                                      \
    PTX ctype ptx_div_##type(ctype a, ctype b) { return b == 0 ? (ctype)-1 : (ctype)-1 < 0 && b == (ctype)-1 ? (ctype)(0 - (uint64_t)a) : a / b; } \
    PTX ctype ptx_rem_##type(ctype a, ctype b) { return b == 0 ? a : (ctype)-1 < 0 && b == (ctype)-1 ? 0 : a % b; }
PTX_DIVISION(u16, uint16_t)
PTX_DIVISION(s16, int16_t)
PTX_DIVISION(u32, uint32_t)
PTX_DIVISION(s32, int32_t)
PTX_DIVISION(u64, uint64_t)
PTX_DIVISION(s64, int64_t)
PTX int32_t ptx_add_sat(int32_t a, int32_t b) { return ptx_clamp_s_s32((int64_t)a + b); }
PTX int32_t ptx_sub_sat(int32_t a, int32_t b) { return ptx_clamp_s_s32((int64_t)a - b); }
PTX uint64_t ptx_shl_u(uint64_t x, uint32_t by, unsigned bits) { return by >= bits ? 0 : x << by; }
PTX uint64_t ptx_shr_u(uint64_t x, uint32_t by, unsigned bits) { return by >= bits ? 0 : x >> by; }
PTX int64_t ptx_shr_s(int64_t x, uint32_t by, unsigned bits) { return x >> (by >= bits ? bits - 1 : by); }
PTX uint32_t ptx_clz32(uint32_t x) { return x ? (uint32_t)__builtin_clz(x) : 32; }
PTX uint32_t ptx_clz64(uint64_t x) { return x ? (uint32_t)__builtin_clzll(x) : 64; }
/* The highest bit that is not the sign's, which a signed number is inverted for. */
PTX uint32_t ptx_bfind(uint64_t of, unsigned bits, int amount) {
    if (!of) return ~0u;
    const uint32_t place = 63 - (uint32_t)__builtin_clzll(of);
    return amount ? bits - 1 - place : place;
}
PTX uint64_t ptx_bfe_u(uint64_t x, uint32_t from, uint32_t count, unsigned bits) {
    from &= 255, count &= 255;
    const uint64_t low = from >= bits ? 0 : x >> from;
    return count >= bits ? low : low & ((1ull << count) - 1);
}
PTX int64_t ptx_bfe_s(int64_t x, uint32_t from, uint32_t count, unsigned bits) {
    from &= 255, count &= 255;
    if (count == 0) return 0;
    const int64_t low = x >> (from >= bits ? bits - 1 : from);
    if (count >= bits - (from < bits ? from : bits - 1)) return low;
    return (int64_t)((uint64_t)low << (64 - count)) >> (64 - count);
}
PTX uint64_t ptx_bfi(uint64_t field, uint64_t into, uint32_t from, uint32_t count, unsigned bits) {
    from &= 255, count &= 255;
    if (from >= bits) return into;
    const uint64_t mask = (count >= 64 ? ~0ull : (1ull << count) - 1) << from;
    return (field << from & mask) | (into & ~mask);
}
PTX uint32_t ptx_prmt(uint32_t low, uint32_t high, uint32_t select) {
    const uint64_t bytes = (uint64_t)high << 32 | low;
    uint32_t result = 0;
    for (int i = 0; i < 4; i++) {
        const uint32_t choice = select >> 4 * i & 15;
        uint32_t byte = (uint32_t)(bytes >> 8 * (choice & 7)) & 255;
        if (choice & 8) byte = byte & 128 ? 255 : 0; /* the sign, eight times */
        result |= byte << 8 * i;
    }
    return result;
}
PTX uint32_t ptx_lop3(uint32_t a, uint32_t b, uint32_t c, uint32_t table) {
    uint32_t result = 0;
    for (int row = 0; row < 8; row++)
        if (table >> row & 1) result |= (row & 4 ? a : ~a) & (row & 2 ? b : ~b) & (row & 1 ? c : ~c);
    return result;
}
PTX uint32_t ptx_shf_l_clamp(uint32_t low, uint32_t high, uint32_t by) {
    return by >= 32 ? low : by ? high << by | low >> (32 - by) : high;
}
PTX uint32_t ptx_shf_r_clamp(uint32_t low, uint32_t high, uint32_t by) {
    return by >= 32 ? high : by ? high << (32 - by) | low >> by : low;
}
PTX uint32_t ptx_shf_l_wrap(uint32_t low, uint32_t high, uint32_t by) { return ptx_shf_l_clamp(low, high, by & 31); }
PTX uint32_t ptx_shf_r_wrap(uint32_t low, uint32_t high, uint32_t by) { return ptx_shf_r_clamp(low, high, by & 31); }
#define PTX_DP4A(name, a_type, b_type)                                                                                 \
    PTX uint32_t ptx_dp4a_##name(uint32_t a, uint32_t b, uint32_t sum) {                                               \
        for (int i = 0; i < 32; i += 8) sum += (uint32_t)((int32_t)(a_type)(a >> i) * (int32_t)(b_type)(b >> i));      \
        return sum;                                                                                                    \
    }
PTX_DP4A(uu, uint8_t, uint8_t)
PTX_DP4A(us, uint8_t, int8_t)
PTX_DP4A(su, int8_t, uint8_t)
PTX_DP4A(ss, int8_t, int8_t)

/* Warps. `limits` holds the segments in bits 8 to 12 and the clamp in bits 0 to 4, as shfl has it. */
PTX uint32_t ptx_taken(const uint64_t *values, unsigned mask, unsigned lane, int fits, int from, int *valid) {
    *valid = fits;
    if (fits && !(mask >> from & 1)) emulated_fail("shfl.sync: lane %u reads lane %d, which the mask %#x lacks", lane, from, mask);
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
#define PTX_KERNEL(name, ...)                                                                                          \
    __attribute__((visibility("default"))) unsigned emulated_parameters_##name(size_t *sizes) {                        \
        static const size_t all[] = {__VA_ARGS__};                                                                     \
        memcpy(sizes, all, sizeof all - sizeof all[0]); /* the last one is none */                                     \
        return sizeof all / sizeof all[0] - 1;                                                                         \
    }                                                                                                                  \
    __attribute__((visibility("default"))) int emulated_kernel_##name(emulated_launch *launch, char *message, size_t size) { \
        launch->kernel = f_##name;                                                                                     \
        launch->shared += SHARED_BYTES;                                                                                \
        return emulated_launch_once(launch, message, size);                                                                 \
    }
#endif
