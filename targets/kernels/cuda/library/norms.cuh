/* Reductions over one vector in 16 lanes and a fixed tree, and what is made of them: softmaxes and layer norm.
 *
 * Lane l of 16 starts at the identity and takes the elements l, l + 16, l + 32 …; then lane l takes lane l + 8, l + 4,
 * l + 2 and l + 1. Every half of a warp that works on a vector makes the same sum, so that nobody has to wait. */
#ifndef AE_NORMS_CUH
#define AE_NORMS_CUH

/* The larger and the smaller of two numbers: the second where either is a NaN, as on CPUs. Of floats it is written
 * so that the compiler makes no max.f32 of it, which is another function of NaN and of zeros. */
template <class T> __device__ __forceinline__ T ae_larger(T a, T b) { return a > b ? a : b; }
template <class T> __device__ __forceinline__ T ae_smaller(T a, T b) { return a < b ? a : b; }
#ifdef __CUDACC_RTC__
__device__ __forceinline__ float ae_larger(float a, float b) {
    float larger;
    asm("{ .reg .pred p; setp.gt.f32 p, %1, %2; selp.f32 %0, %1, %2, p; }" : "=f"(larger) : "f"(a), "f"(b));
    return larger;
}
__device__ __forceinline__ float ae_smaller(float a, float b) {
    float smaller;
    asm("{ .reg .pred p; setp.lt.f32 p, %1, %2; selp.f32 %0, %1, %2, p; }" : "=f"(smaller) : "f"(a), "f"(b));
    return smaller;
}
#endif

/* eˣ, operation by operation as exact_math.exp has it. */
__device__ __noinline__ float ae_exp(float x) {
    const float bounded = ae_smaller(ae_larger(x, -104.0f), 89.0f);
    const float shifted = __fmul_rn(bounded, 0x1.715476p+0f) + 0x1.8p+23f;
    const float n = shifted - 0x1.8p+23f;
    const int whole = __float_as_int(shifted) - 0x4B400000, half = whole >> 1;
    const float r = (bounded - __fmul_rn(n, 0x1.62e4p-1f)) - __fmul_rn(n, 0x1.7f7d1cp-20f);
    float sum = 0x1.6d110ap-10f;
    sum = __fmul_rn(sum, r) + 0x1.120b6ep-7f;
    sum = __fmul_rn(sum, r) + 0x1.55551ap-5f;
    sum = __fmul_rn(sum, r) + 0x1.5554dcp-3f;
    sum = __fmul_rn(sum, r) + 0x1p-1f;
    const float mantissa = 1.0f + (r + __fmul_rn(__fmul_rn(r, r), sum));
    const float power = __int_as_float((half + 127) << 23), rest = __int_as_float((whole - half + 127) << 23);
    return x == x ? __fmul_rn(__fmul_rn(mantissa, power), rest) : x;
}

/* The natural logarithm, operation by operation as exact_math.log has it. */
__device__ __noinline__ float ae_log(float x) {
    const bool denormal = x < 0x1p-126f;
    const int bits = __float_as_int(denormal ? __fmul_rn(x, 0x1p+25f) : x) - 0x3F3504F3;
    const float f = __int_as_float((bits & 0x007FFFFF) + 0x3F3504F3) - 1.0f;
    const float n = (float)(bits >> 23) - (denormal ? 25.0f : 0.0f), square = __fmul_rn(f, f);
    float sum = 0x1.1d8ea6p-4f;
    sum = __fmul_rn(sum, f) + -0x1.d635bcp-4f;
    sum = __fmul_rn(sum, f) + 0x1.dea282p-4f;
    sum = __fmul_rn(sum, f) + -0x1.fcf4c6p-4f;
    sum = __fmul_rn(sum, f) + 0x1.23d21ap-3f;
    sum = __fmul_rn(sum, f) + -0x1.555b4ap-3f;
    sum = __fmul_rn(sum, f) + 0x1.999d5ap-3f;
    sum = __fmul_rn(sum, f) + -0x1.fffffcp-3f;
    sum = __fmul_rn(sum, f) + 0x1.555554p-2f;
    const float tail = __fmul_rn(__fmul_rn(f, square), sum) + __fmul_rn(n, 0x1.7f7d1cp-20f);
    const float value = (f + (tail - __fmul_rn(square, 0.5f))) + __fmul_rn(n, 0x1.62e4p-1f);
    const float infinity = __int_as_float(0x7f800000);
    if (x > 0.0f) return x == infinity ? infinity : value;
    return x == 0.0f ? -infinity : __int_as_float(0x7fc00000);
}

struct ae_sum {
    template <class T> static __device__ __forceinline__ T join(T a, T b) { return a + b; }
};
struct ae_most {
    template <class T> static __device__ __forceinline__ T join(T a, T b) { return ae_larger(a, b); }
};
struct ae_least {
    template <class T> static __device__ __forceinline__ T join(T a, T b) { return ae_smaller(a, b); }
};

/* element(0) … element(width − 1) in 16 lanes from `identity` and their tree. Called by whole warps, each half of which
 * may have another vector of the same width; the result is in all its lanes. */
template <class JOIN, class T, class ELEMENT>
__device__ __forceinline__ T ae_lanes(T identity, int width, const ELEMENT &element) {
    T total = identity;
#pragma unroll 16
    for (int i = threadIdx.x & 15; i < width; i += 16) total = JOIN::join(total, element(i));
    for (int half = 8; half; half >>= 1) {
        const T other = __shfl_down_sync(0xffffffffu, total, half, 16);
        total = JOIN::join(total, other); /* lanes from `half` on hold what nobody reads */
    }
    return __shfl_sync(0xffffffffu, total, 0, 16);
}

__device__ __forceinline__ float ae_divide(float total, int width) { return __fdiv_rn(total, (float)width); }
template <class T> __device__ __forceinline__ T ae_divide(T total, int width) { return total / (T)width; }

/* y[o] = x[o, :] reduced from `identity`, divided by the width where MEAN; half a warp a vector. */
template <class JOIN, bool MEAN, class T, class I>
__device__ __noinline__ void ae_reduce(const T *x, T *y, I identity, int first_block, int outer, int width) {
    constexpr int GROUPS = AE_THREADS / 16;
    for (int base = ae_block(first_block) * GROUPS; base < outer; base += ae_blocks(first_block) * GROUPS) {
        const int o = base + threadIdx.x / 16;
        const T *own = x + (long long)(o < outer ? o : 0) * width;
        const T total = ae_lanes<JOIN>((T)identity, width, [=](int i) { return own[i]; });
        if (o < outer && !(threadIdx.x & 15)) y[o] = MEAN ? ae_divide(total, width) : total;
    }
}

/* y[o, :] = (x[o, :] − mean) · (1 / sqrt(variance + epsilon)) · gamma + beta; `per` threads a vector, 32 or all. */
__device__ __noinline__ void ae_norm(
    const float *x, const float *gamma, const float *beta, float *y, float epsilon, int first_block, int outer,
    int width, int per) {
    const int groups = AE_THREADS / per;
    for (int base = ae_block(first_block) * groups; base < outer; base += ae_blocks(first_block) * groups) {
        const int o = base + threadIdx.x / per;
        const float *own = x + (long long)(o < outer ? o : 0) * width;
        const float mean = ae_divide(ae_lanes<ae_sum>(0.0f, width, [=](int i) { return own[i]; }), width);
        const float squares = ae_lanes<ae_sum>(0.0f, width, [=](int i) {
            const float difference = own[i] - mean;
            return __fmul_rn(difference, difference);
        });
        const float scale = __fdiv_rn(1.0f, __fsqrt_rn(ae_divide(squares, width) + epsilon));
        for (int i = threadIdx.x % per; o < outer && i < width; i += per) {
            const float value = __fmul_rn(own[i] - mean, scale);
            y[(long long)o * width + i] = gamma ? __fmul_rn(value, gamma[i]) + beta[i] : value;
        }
    }
}
__device__ __forceinline__ void ae_layer_norm(
    const float *x, const float *gamma, const float *beta, float *y, float epsilon, int first_block, int outer,
    int width, int per) {
    ae_norm(x, gamma, beta, y, epsilon, first_block, outer, width, per);
}
__device__ __forceinline__ void ae_layer_norm(const float *x, float *y, float epsilon, int first_block, int outer,
    int width, int per) {
    ae_norm(x, (const float *)0, (const float *)0, y, epsilon, first_block, outer, width, per);
}

/* y[o, :] = e^(x[o, :] − max) / Σ e^(x[o, :] − max), or its logarithm (x[o, :] − max) − log Σ; `per` threads a
 * vector. */
template <bool LOG>
__device__ __noinline__ void ae_softmax(const float *x, float *y, int first_block, int outer, int width, int per) {
    const int groups = AE_THREADS / per;
    for (int base = ae_block(first_block) * groups; base < outer; base += ae_blocks(first_block) * groups) {
        const int o = base + threadIdx.x / per, last = o < outer ? width : 0;
        const float *own = x + (long long)(o < outer ? o : 0) * width;
        float *result = y + (long long)(o < outer ? o : 0) * width;
        const float peak = ae_lanes<ae_most>(__int_as_float(0xff800000), width, [=](int i) { return own[i]; });
        for (int i = threadIdx.x % per; i < last; i += per) result[i] = ae_exp(own[i] - peak);
        __syncthreads();
        const float total = ae_lanes<ae_sum>(0.0f, last, [=](int i) { return result[i]; });
        __syncthreads();
        const float logarithm = LOG ? ae_log(total) : 0.0f;
        for (int i = threadIdx.x % per; i < last; i += per)
            result[i] = LOG ? (own[i] - peak) - logarithm : __fdiv_rn(result[i], total);
    }
}
#endif
