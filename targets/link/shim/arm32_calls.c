/* Functions that compilers call on 32-bit ARM where the processor has no instruction: rounding to whole numbers before
 * Armv8, conversions of 64-bit integers and halves, division, and other names of what memory.c has.
 *
 * All that is computed here is defined to the last bit. Names and calling conventions are those of TVM's LLVM, which passes
 * floats in registers for floats, halves apart; in the shim's own compiler, which converts nothing, those of Arm's run-time
 * ABI (IHI 0043). Hidden, as in memory.c.
 */
#include <stddef.h>
#include <stdint.h>

#include "halves.h"

#define HIDDEN __attribute__((visibility("hidden")))
#define IN_INTEGER_REGISTERS __attribute__((visibility("hidden"), pcs("aapcs")))

HIDDEN void *memcpy(void *target, const void *source, size_t size);
HIDDEN void *memmove(void *target, const void *source, size_t size);
HIDDEN void *memset(void *target, int value, size_t size);

/* --- whole numbers ------------------------------------------------------------------------------------------------ */

HIDDEN float truncf(float x)
{
    single found = {x};
    uint32_t exponent = found.bits >> 23 & 255u;
    if (exponent < 127u)
        found.bits &= 0x80000000u;
    else if (exponent < 150u)
        found.bits &= ~(0x7fffffu >> (exponent - 127u));
    return found.value;
}

HIDDEN float floorf(float x)
{
    float whole = truncf(x);
    return whole > x ? whole - 1.0f : whole;
}

HIDDEN float ceilf(float x)
{
    float whole = truncf(x);
    return whole < x ? whole + 1.0f : whole;
}

/* The sum has no bits behind the point, so the addition rounds: to nearest, ties to even. */
HIDDEN float rintf(float x)
{
    single given = {x}, rounded;
    uint32_t sign = given.bits & 0x80000000u;
    if ((given.bits & 0x7fffffffu) >= 0x4b000000u)
        return x;
    given.bits &= 0x7fffffffu;
    rounded.value = given.value + 8388608.0f;
    rounded.value -= 8388608.0f;
    rounded.bits |= sign;
    return rounded.value;
}

HIDDEN double trunc(double x)
{
    wide found = {x};
    uint32_t exponent = (uint32_t)(found.bits >> 52) & 2047u;
    if (exponent < 1023u)
        found.bits &= UINT64_C(0x8000000000000000);
    else if (exponent < 1075u)
        found.bits &= ~(UINT64_C(0xfffffffffffff) >> (exponent - 1023u));
    return found.value;
}

HIDDEN double floor(double x)
{
    double whole = trunc(x);
    return whole > x ? whole - 1.0 : whole;
}

HIDDEN double ceil(double x)
{
    double whole = trunc(x);
    return whole < x ? whole + 1.0 : whole;
}

HIDDEN double rint(double x)
{
    wide given = {x}, rounded;
    uint64_t sign = given.bits & UINT64_C(0x8000000000000000);
    given.bits ^= sign;
    if (given.bits >= UINT64_C(0x4330000000000000))
        return x;
    rounded.value = given.value + 4503599627370496.0;
    rounded.value -= 4503599627370496.0;
    rounded.bits |= sign;
    return rounded.value;
}

/* --- 64-bit integers and floats ----------------------------------------------------------------------------------- */

/* A leading 1 in the sum carries into the exponent, as a number rounded up to the next power of two needs it. */
HIDDEN float __floatundisf(uint64_t number)
{
    single found = {0.0f};
    if (number) {
        uint32_t empty = (uint32_t)__builtin_clzll(number);
        found.bits = ((63u - empty + 126u) << 23) + (uint32_t)shifted(number << empty, 40u);
    }
    return found.value;
}

HIDDEN double __floatundidf(uint64_t number)
{
    wide found = {0.0};
    if (number) {
        uint32_t empty = (uint32_t)__builtin_clzll(number);
        found.bits = ((uint64_t)(63u - empty + 1022u) << 52) + shifted(number << empty, 11u);
    }
    return found.value;
}

static uint64_t magnitude(int64_t number)
{
    return number < 0 ? 0u - (uint64_t)number : (uint64_t)number;
}

HIDDEN float __floatdisf(int64_t number)
{
    float found = __floatundisf(magnitude(number));
    return number < 0 ? -found : found;
}

HIDDEN double __floatdidf(int64_t number)
{
    double found = __floatundidf(magnitude(number));
    return number < 0 ? -found : found;
}

/* Toward 0; out of range, where C leaves it open, the nearest there is. */
HIDDEN uint64_t __fixunsdfdi(double x)
{
    wide given = {x};
    uint32_t exponent = (uint32_t)(given.bits >> 52) & 2047u;
    uint64_t digits = (given.bits & UINT64_C(0xfffffffffffff)) | UINT64_C(0x10000000000000);
    if (!(x >= 1.0))
        return 0;
    if (exponent >= 1023u + 64u)
        return UINT64_MAX;
    return exponent < 1075u ? digits >> (1075u - exponent) : digits << (exponent - 1075u);
}

HIDDEN int64_t __fixdfdi(double x)
{
    uint64_t found = __fixunsdfdi(x < 0.0 ? -x : x);
    if (found > (uint64_t)INT64_MAX)
        return x < 0.0 ? INT64_MIN : INT64_MAX;
    return x < 0.0 ? -(int64_t)found : (int64_t)found;
}

HIDDEN uint64_t __fixunssfdi(float x)
{
    return __fixunsdfdi((double)x);
}

HIDDEN int64_t __fixsfdi(float x)
{
    return __fixdfdi((double)x);
}

/* --- halves ------------------------------------------------------------------------------------------------------- */

IN_INTEGER_REGISTERS uint16_t __truncdfhf2(double x)
{
    return narrow_to_half(x);
}

IN_INTEGER_REGISTERS uint16_t __gnu_f2h_ieee(float x)
{
    return narrow_to_half((double)x);
}

IN_INTEGER_REGISTERS float __gnu_h2f_ieee(uint16_t half)
{
    return widen_half(half);
}

/* --- division ----------------------------------------------------------------------------------------------------- */

/* Beginning where the number does: small numbers, the usual ones, take few turns. */
HIDDEN uint64_t astroedge_divide(uint64_t number, uint64_t divisor, uint64_t *remainder)
{
    uint64_t quotient = 0, rest = 0;
    int32_t bit = number ? 63 - (int32_t)__builtin_clzll(number) : -1;
    for (; bit >= 0; bit--) {
        uint64_t carried = rest >> 63; /* of a divisor above 2^63 */
        rest = rest << 1 | (number >> bit & 1u);
        if (divisor && (carried || rest >= divisor)) {
            rest -= divisor;
            quotient |= UINT64_C(1) << bit;
        }
    }
    *remainder = rest;
    return quotient;
}

HIDDEN int64_t astroedge_divide_signed(int64_t number, int64_t divisor, int64_t *remainder)
{
    uint64_t rest, quotient = astroedge_divide(magnitude(number), magnitude(divisor), &rest);
    *remainder = (int64_t)(number < 0 ? 0u - rest : rest);
    return (int64_t)((number < 0) != (divisor < 0) ? 0u - quotient : quotient);
}

#define QUOTIENT(name, type, wide_type, divide)                                                                        \
    HIDDEN type name(type number, type divisor)                                                                        \
    {                                                                                                                  \
        wide_type rest;                                                                                                \
        return (type)divide(number, divisor, &rest);                                                                   \
    }
#define REMAINDER(name, type, wide_type, divide)                                                                       \
    HIDDEN type name(type number, type divisor)                                                                        \
    {                                                                                                                  \
        wide_type rest;                                                                                                \
        divide(number, divisor, &rest);                                                                                \
        return (type)rest;                                                                                             \
    }
/* Both in one: the remainder in the second register. */
#define DIVISION(name, type, wide_type, divide)                                                                        \
    HIDDEN uint64_t name(type number, type divisor)                                                                    \
    {                                                                                                                  \
        wide_type rest, quotient = divide(number, divisor, &rest);                                                     \
        return (uint64_t)(uint32_t)rest << 32 | (uint32_t)quotient;                                                    \
    }
/* Both in one: the remainder in the third and fourth register, where no function of C returns anything. */
#define WIDE_DIVISION(name, divide)                                                                                    \
    __asm__(".text\n.arm\n.balign 4\n.globl " name "\n.hidden " name "\n.type " name ", %function\n" name ":\n"         \
            "push {r6, lr}\nsub sp, sp, #16\nadd r6, sp, #8\nstr r6, [sp]\nbl " divide "\n"                            \
            "ldr r2, [sp, #8]\nldr r3, [sp, #12]\nadd sp, sp, #16\npop {r6, pc}\n")

QUOTIENT(__udivsi3, uint32_t, uint64_t, astroedge_divide)
QUOTIENT(__divsi3, int32_t, int64_t, astroedge_divide_signed)
QUOTIENT(__udivdi3, uint64_t, uint64_t, astroedge_divide)
QUOTIENT(__divdi3, int64_t, int64_t, astroedge_divide_signed)
QUOTIENT(__aeabi_uidiv, uint32_t, uint64_t, astroedge_divide)
QUOTIENT(__aeabi_idiv, int32_t, int64_t, astroedge_divide_signed)
REMAINDER(__umodsi3, uint32_t, uint64_t, astroedge_divide)
REMAINDER(__modsi3, int32_t, int64_t, astroedge_divide_signed)
REMAINDER(__umoddi3, uint64_t, uint64_t, astroedge_divide)
REMAINDER(__moddi3, int64_t, int64_t, astroedge_divide_signed)
DIVISION(__aeabi_uidivmod, uint32_t, uint64_t, astroedge_divide)
DIVISION(__aeabi_idivmod, int32_t, int64_t, astroedge_divide_signed)
WIDE_DIVISION("__aeabi_uldivmod", "astroedge_divide");
WIDE_DIVISION("__aeabi_ldivmod", "astroedge_divide_signed");

/* What tables for exceptions name, of which there are none. */
HIDDEN void __aeabi_unwind_cpp_pr0(void)
{
}

HIDDEN void __aeabi_unwind_cpp_pr1(void)
{
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

#define OF_EACH_ALIGNMENT(define) define() define(4) define(8)

#define COPY(n)                                                                                                        \
    HIDDEN void __aeabi_memcpy##n(void *target, const void *source, size_t size)                                     \
    {                                                                                                                  \
        memcpy(target, source, size);                                                                                  \
    }
#define MOVE(n)                                                                                                        \
    HIDDEN void __aeabi_memmove##n(void *target, const void *source, size_t size)                                    \
    {                                                                                                                  \
        memmove(target, source, size);                                                                                 \
    }
#define FILL(n)                                                                                                        \
    HIDDEN void __aeabi_memset##n(void *target, size_t size, int value)                                              \
    {                                                                                                                  \
        memset(target, value, size);                                                                                   \
    }
#define CLEAR(n)                                                                                                       \
    HIDDEN void __aeabi_memclr##n(void *target, size_t size)                                                         \
    {                                                                                                                  \
        memset(target, 0, size);                                                                                       \
    }

OF_EACH_ALIGNMENT(COPY)
OF_EACH_ALIGNMENT(MOVE)
OF_EACH_ALIGNMENT(FILL)
OF_EACH_ALIGNMENT(CLEAR)
