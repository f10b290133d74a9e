/* CUDA C on the CPU: the words that AstroEdge's device code uses, so that its very text runs in tests. C++17.
 *
 * Included before the text, which sees ASTRO_EMULATED. A __shared__ variable may stand where a static one may; a thread
 * that spins has to call ae_pause between two looks. Compile without contraction of floating-point expressions. */
#ifndef EMULATED_CUDA_H
#define EMULATED_CUDA_H
#include <math.h>
#include <string.h>

#include "races.h"
#include "threads.h"

#define ASTRO_EMULATED 1

/* What works for the kernels is not itself looked at for races. */
#define EMULATED static inline __attribute__((no_sanitize("thread"), unused))

#define __global__
#define __device__ static
#define __host__
#define __constant__ static const
#define __shared__ static __attribute__((section("emulated_shared")))
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(4) uchar4 { unsigned char x, y, z, w; };
struct alignas(4) char4 { signed char x, y, z, w; };

#define threadIdx (emulated_self->index)
#define blockIdx (emulated_self->block->index)
#define blockDim (emulated_current->block)
#define gridDim (emulated_current->grid)
#define warpSize 32

/* Waiting. */
EMULATED void __syncthreads() { emulated_sync_block(0, 0, nullptr); }
EMULATED int __syncthreads_count(int vote) { return (int)emulated_sync_block(0, vote, nullptr); }
EMULATED int __syncthreads_or(int vote) { return emulated_sync_block(0, vote, nullptr) != 0; }
EMULATED int __syncthreads_and(int vote) {
    unsigned voters;
    return emulated_sync_block(0, vote, &voters) == voters;
}
EMULATED void __syncwarp(unsigned mask = ~0u) { emulated_sync_warp(mask); }
#if EMULATED_RACES_WATCHED
EMULATED void __threadfence() { emulated_fence(); }
EMULATED void emulated_watch(const void *at, size_t size, int reads, int writes) {
    emulated_atomic(at, size, reads, writes);
}
#else
EMULATED void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
EMULATED void emulated_watch(const void *, size_t, int, int) {}
#endif
EMULATED void __threadfence_system() { __threadfence(); }
EMULATED void __threadfence_block() {}
EMULATED void __nanosleep(unsigned) { emulated_yield(); }
EMULATED unsigned ae_peek(const unsigned *at) {
    emulated_watch(at, sizeof *at, 1, 0);
    return *(const volatile unsigned *)at;
}
EMULATED void ae_pause(const unsigned *, unsigned) { emulated_yield(); }

/* Warps. */
template <class T> EMULATED uint64_t emulated_bits(T value) {
    static_assert(sizeof value <= 8, "a value of a warp operation has at most 64 bits");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    return bits;
}
/* What the lane `from` gives; the own value where it is in another segment of `width` lanes. */
template <class T> EMULATED T emulated_shuffle(unsigned mask, T value, int from, int width) {
    const uint64_t *values = emulated_exchange(mask, emulated_bits(value), "a shuffle");
    const int lane = (int)emulated_self->lane, fits = from >= 0 && from / width == lane / width;
    if (fits && !(mask >> from & 1))
        emulated_fail("a shuffle: lane %d reads lane %d, which the mask %#x lacks", lane, from, mask);
    T result;
    memcpy(&result, &values[fits ? from : lane], sizeof result);
    return result;
}
template <class T> EMULATED T __shfl_sync(unsigned mask, T value, int lane, int width = 32) {
    return emulated_shuffle(mask, value, (int)(emulated_self->lane & ~(width - 1u)) + (lane & (width - 1)), width);
}
template <class T> EMULATED T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
    return emulated_shuffle(mask, value, (int)emulated_self->lane - (int)by, width);
}
template <class T> EMULATED T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
    return emulated_shuffle(mask, value, (int)emulated_self->lane + (int)by, width);
}
template <class T> EMULATED T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
    return emulated_shuffle(mask, value, (int)emulated_self->lane ^ bits, width);
}
EMULATED unsigned __ballot_sync(unsigned mask, int vote) {
    const uint64_t *votes = emulated_exchange(mask, vote != 0, "a vote");
    unsigned result = 0;
    for (unsigned lane = 0; lane < EMULATED_WARP; lane++)
        if (mask >> lane & 1) result |= (unsigned)votes[lane] << lane;
    return result;
}
EMULATED int __any_sync(unsigned mask, int vote) { return __ballot_sync(mask, vote) != 0; }
EMULATED int __all_sync(unsigned mask, int vote) { return __ballot_sync(mask, !vote) == 0; }

/* Atomic operations: nobody else has a turn meanwhile. */
template <class T, class F> EMULATED T emulated_change(T *at, F change) {
    emulated_watch(at, sizeof *at, 1, 1);
    const T old = *(volatile T *)at;
    *(volatile T *)at = change(old);
    emulated_made_progress();
    return old;
}
#define EMULATED_UNWATCHED __attribute__((no_sanitize("thread")))
#define EMULATED_ATOMIC(name, type, value)                                                                             \
    EMULATED type name(type *at, type given) {                                                                         \
        return emulated_change(at, [=](type old) EMULATED_UNWATCHED { return (type)(value); });                        \
    }
#define EMULATED_ATOMICS(type)                                                                                         \
    EMULATED_ATOMIC(atomicAdd, type, old + given)                                                                      \
    EMULATED_ATOMIC(atomicExch, type, given)                                                                           \
    EMULATED_ATOMIC(atomicMin, type, old < given ? old : given)                                                        \
    EMULATED_ATOMIC(atomicMax, type, old > given ? old : given)                                                        \
    EMULATED_ATOMIC(atomicAnd, type, old & given)                                                                      \
    EMULATED_ATOMIC(atomicOr, type, old | given)                                                                       \
    EMULATED_ATOMIC(atomicXor, type, old ^ given)                                                                      \
    EMULATED type atomicCAS(type *at, type expected, type given) {                                                     \
        return emulated_change(at, [=](type old) EMULATED_UNWATCHED { return old == expected ? given : old; });        \
    }
EMULATED_ATOMICS(int)
EMULATED_ATOMICS(unsigned)
EMULATED_ATOMICS(unsigned long long)

/* Integers and bits. */
EMULATED int __popc(unsigned x) { return __builtin_popcount(x); }
EMULATED int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
EMULATED int __ffs(int x) { return __builtin_ffs(x); }
EMULATED int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
EMULATED int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
EMULATED unsigned __brev(unsigned x) { return __builtin_bitreverse32(x); }
EMULATED int __dp4a(int a, int b, int sum) {
    for (int i = 0; i < 32; i += 8) sum += (signed char)(a >> i) * (signed char)(b >> i);
    return sum;
}
#define EMULATED_EXTREMES(type)                                                                                        \
    EMULATED type min(type a, type b) { return a < b ? a : b; }                                                        \
    EMULATED type max(type a, type b) { return a > b ? a : b; }
EMULATED_EXTREMES(int)
EMULATED_EXTREMES(unsigned)
EMULATED_EXTREMES(long)
EMULATED_EXTREMES(long long)
EMULATED_EXTREMES(unsigned long long)

/* Loads by another way, which is the same memory here. */
template <class T> __forceinline__ T __ldg(const T *at) { return *at; }
template <class T> __forceinline__ T __ldcg(const T *at) { return *at; }

/* Bits of floating-point numbers. */
template <class To, class From> EMULATED To emulated_as(From value) {
    static_assert(sizeof(To) == sizeof value, "bits of another size");
    To result;
    memcpy(&result, &value, sizeof result);
    return result;
}
EMULATED float __int_as_float(int x) { return emulated_as<float>(x); }
EMULATED float __uint_as_float(unsigned x) { return emulated_as<float>(x); }
EMULATED int __float_as_int(float x) { return emulated_as<int>(x); }
EMULATED unsigned __float_as_uint(float x) { return emulated_as<unsigned>(x); }
EMULATED double __longlong_as_double(long long x) { return emulated_as<double>(x); }
EMULATED long long __double_as_longlong(double x) { return emulated_as<long long>(x); }

/* IEEE 754, to the nearest. */
#define EMULATED_ARITHMETIC(prefix, type, suffix)                                                                      \
    EMULATED type __##prefix##add_rn(type a, type b) { return a + b; }                                                 \
    EMULATED type __##prefix##sub_rn(type a, type b) { return a - b; }                                                 \
    EMULATED type __##prefix##mul_rn(type a, type b) { return a * b; }                                                 \
    EMULATED type __##prefix##div_rn(type a, type b) { return a / b; }                                                 \
    EMULATED type __##prefix##sqrt_rn(type a) { return __builtin_sqrt##suffix(a); }                                    \
    EMULATED type __##prefix##rcp_rn(type a) { return 1 / a; }
EMULATED_ARITHMETIC(f, float, f)
EMULATED_ARITHMETIC(d, double, )
EMULATED float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
EMULATED double __fma_rn(double a, double b, double c) { return fma(a, b, c); }

/* To integers: clamped to what they hold, NaN is 0. */
EMULATED int emulated_to_int(double whole) {
    if (whole >= 2147483648.0) return 2147483647;
    return whole != whole ? 0 : whole < -2147483648.0 ? -2147483647 - 1 : (int)whole;
}
EMULATED int __float2int_rn(float x) { return emulated_to_int(rint((double)x)); }
EMULATED int __float2int_rz(float x) { return emulated_to_int((double)x); }
EMULATED int __double2int_rn(double x) { return emulated_to_int(rint(x)); }
EMULATED float __int2float_rn(int x) { return (float)x; }
EMULATED float __ll2float_rn(long long x) { return (float)x; }

/* A kernel with its arguments taken from an array of their addresses. */
template <unsigned long... I> struct emulated_places {};
template <class, unsigned long... I> struct emulated_list { typedef emulated_places<I...> type; };
template <class... A> struct emulated_caller {
    template <unsigned long... I> EMULATED void call(void (*kernel)(A...), void **arguments, emulated_places<I...>) {
        kernel(*(A *)arguments[I]...);
    }
    EMULATED void run(void (*kernel)(A...), void **arguments) {
        call(kernel, arguments, typename __make_integer_seq<emulated_list, unsigned long, sizeof...(A)>::type());
    }
    EMULATED unsigned sizes(void (*)(A...), size_t *to) {
        const size_t all[] = {sizeof(A)..., 0};
        memcpy(to, all, sizeof all - sizeof all[0]);
        return sizeof...(A);
    }
};
template <class... A> emulated_caller<A...> emulated_caller_of(void (*)(A...));

extern unsigned char __start_emulated_shared[] __attribute__((weak, visibility("hidden")));
extern unsigned char __stop_emulated_shared[] __attribute__((weak, visibility("hidden")));

/* Beside each kernel: what a launch calls, as PTX_KERNEL of ptx.h. */
#define EMULATED_EXPORT extern "C" __attribute__((visibility("default"), no_sanitize("thread")))
#define EMULATED_KERNEL(name)                                                                                          \
    EMULATED_EXPORT unsigned emulated_parameters_##name(size_t *sizes) {                                               \
        return decltype(emulated_caller_of(name))::sizes(name, sizes);                                                 \
    }                                                                                                                  \
    EMULATED_EXPORT int emulated_kernel_##name(emulated_launch *launch, char *message, size_t size) {                  \
        launch->kernel = [](void **arguments) { decltype(emulated_caller_of(name))::run(name, arguments); };           \
        launch->shared += (size_t)(__stop_emulated_shared - __start_emulated_shared);                                  \
        return emulated_launch_once(launch, message, size);                                                            \
    }
#endif
