/* The processor's counter, which runs at one rate whatever the processor does.
 *
 * What came before it is done when it is read, and what comes after it begins then: so what a reading takes is the same
 * between any two kernels, and can be subtracted.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include "checks.h"

/* Note the time. The compiled tick calls this, and astro_clock must take as long for it. */
HIDDEN __attribute__((noinline)) void astroedge_stamp(uint64_t *stamps, int32_t index);

#if defined(__x86_64__)

static inline uint64_t read_clock(void)
{
    uint64_t low, high;
    __asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high) : : "memory");
    return high << 32 | low;
}

#elif defined(__aarch64__)

static inline uint64_t read_clock(void)
{
    uint64_t count;
    __asm__ volatile("isb\n\tmrs %0, cntvct_el0\n\tisb" : "=r"(count) : : "memory");
    return count;
}

#elif defined(__arm__)

/* Nanoseconds of CLOCK_MONOTONIC: not every kernel lets a program read the counter itself. */
static inline uint64_t read_clock(void)
{
    uint32_t time[2] = {0, 0}; /* seconds, nanoseconds */
    register long number __asm__("r7") = 263; /* SYS_clock_gettime */
    register long first __asm__("r0") = 1;
    register uint32_t *second __asm__("r1") = time;
    __asm__ volatile("svc 0" : "+r"(first) : "r"(number), "r"(second) : "memory");
    return (uint64_t)time[0] * 1000000000u + time[1];
}

#elif defined(__riscv) && __riscv_xlen == 64

static inline uint64_t read_clock(void)
{
    uint64_t count;
    __asm__ volatile("fence\n\trdtime %0\n\tfence" : "=r"(count) : : "memory");
    return count;
}

#else
#error "the clock of this architecture is not known"
#endif

#endif
