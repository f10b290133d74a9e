/* PTX instructions on integers and bits that take more than an expression. C11. */
#ifndef EMULATED_PTX_INTEGERS_H
#define EMULATED_PTX_INTEGERS_H
#include <stdint.h>

#define PTX static inline __attribute__((always_inline))

/* Cut to what a type holds. */
#define PTX_CLAMP(type, ctype, low, high)                                                                              \
    PTX ctype ptx_clamp_s_##type(int64_t x) {                                                                          \
        if (x < (int64_t)(low)) return (ctype)(low);                                                                   \
        return x > 0 && (uint64_t)x > (uint64_t)(high) ? (ctype)(high) : (ctype)x;                                     \
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


/* Integers. Division by zero gives what GPUs give; it is no error there. */
#define PTX_DIVISION(type, ctype)                                                                                      \
    PTX ctype ptx_div_##type(ctype a, ctype b) {                                                                       \
        if (b == 0) return (ctype)-1;                                                                                  \
        return (ctype)-1 < 0 && b == (ctype)-1 ? (ctype)(0 - (uint64_t)a) : (ctype)(a / b);                            \
    }                                                                                                                  \
    PTX ctype ptx_rem_##type(ctype a, ctype b) {                                                                       \
        if (b == 0) return a;                                                                                          \
        return (ctype)-1 < 0 && b == (ctype)-1 ? 0 : (ctype)(a % b);                                                   \
    }
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
        for (int i = 0; i < 32; i += 8) sum += (uint32_t)((a_type)(a >> i) * (b_type)(b >> i));                        \
        return sum;                                                                                                    \
    }
PTX_DP4A(uu, uint8_t, uint8_t)
PTX_DP4A(us, uint8_t, int8_t)
PTX_DP4A(su, int8_t, uint8_t)
PTX_DP4A(ss, int8_t, int8_t)
#endif
