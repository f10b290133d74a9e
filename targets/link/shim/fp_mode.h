/* The floating-point mode of a tick: round to nearest, denormals kept, no traps. */
#ifndef FP_MODE_H
#define FP_MODE_H

#include <stdint.h>

#if defined(__x86_64__)

typedef uint32_t fp_mode;
#define FP_MODE_OF_A_STEP 0x1f80u /* MXCSR: all exceptions masked, nearest, neither FTZ nor DAZ */

static inline fp_mode read_fp_mode(void)
{
    fp_mode mode;
    __asm__ volatile("stmxcsr %0" : "=m"(mode) : : "memory");
    return mode;
}

static inline void write_fp_mode(fp_mode mode)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(mode) : "memory");
}

#elif defined(__aarch64__)

typedef uint64_t fp_mode;
#define FP_MODE_OF_A_STEP 0u /* FPCR: nearest, no FZ, FZ16, DN or traps */

static inline fp_mode read_fp_mode(void)
{
    fp_mode mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode) : : "memory");
    return mode;
}

static inline void write_fp_mode(fp_mode mode)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(mode) : "memory");
}

#elif defined(__arm__) && defined(__VFP_FP__)

typedef uint32_t fp_mode;
#define FP_MODE_OF_A_STEP 0u /* FPSCR: nearest, no FZ, DN, AHP or traps, one number at a time */

static inline fp_mode read_fp_mode(void)
{
    fp_mode mode;
    __asm__ volatile("vmrs %0, fpscr" : "=r"(mode) : : "memory");
    return mode;
}

static inline void write_fp_mode(fp_mode mode)
{
    __asm__ volatile("vmsr fpscr, %0" : : "r"(mode) : "memory", "cc");
}

#elif defined(__riscv) && __riscv_flen == 64

typedef uint64_t fp_mode;
#define FP_MODE_OF_A_STEP 0u /* fcsr: nearest; denormals are always kept, and there are no traps */

static inline fp_mode read_fp_mode(void)
{
    fp_mode mode;
    __asm__ volatile("frcsr %0" : "=r"(mode) : : "memory");
    return mode;
}

static inline void write_fp_mode(fp_mode mode)
{
    __asm__ volatile("fscsr %0" : : "r"(mode) : "memory");
}

#else
#error "the floating-point mode of this architecture is not known"
#endif

#endif
