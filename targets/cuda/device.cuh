/* What every CUDA text of a step begins with: types, the arithmetic of element-wise code, and the wait of all blocks.
 *
 * The same text is compiled by NVRTC and, with ASTRO_EMULATED, by a C++ compiler behind a header that gives CUDA's words.
 * NVRTC has no include path: nothing here includes anything. */
#ifndef ASTRO_DEVICE_CUH
#define ASTRO_DEVICE_CUH
#ifndef ASTRO_EMULATED
typedef unsigned char uint8_t;
typedef signed char int8_t;
typedef unsigned short uint16_t;
typedef short int16_t;
typedef unsigned int uint32_t;
typedef int int32_t;
typedef unsigned long long uint64_t;
typedef long long int64_t;
__device__ __forceinline__ unsigned ae_peek(const unsigned *p) { return *(const volatile unsigned *)p; }
__device__ __forceinline__ void ae_pause(const unsigned *, unsigned) {}
#endif
typedef unsigned int uint; /* as TVM's generator writes them */
typedef unsigned short ushort;
typedef unsigned char uchar;
#ifndef AE_THREADS
#define AE_THREADS 128
#endif

/* The larger and the smaller of two numbers: the second where either is a NaN, as on CPUs. */
template <class T> __device__ __forceinline__ T ae_max(T a, T b) { return a > b ? a : b; }
template <class T> __device__ __forceinline__ T ae_min(T a, T b) { return a < b ? a : b; }

/* False where either is a NaN. */
template <class T> __device__ __forceinline__ bool ae_unequal(T a, T b) { return a < b || a > b; }

/* The bits of a number as a number of another type and the same size. */
template <class To, class From> __device__ __forceinline__ To ae_bits(From value) {
    static_assert(sizeof(To) == sizeof(From), "bits of another size");
    union { From given; To wanted; } both;
    both.given = value;
    return both.wanted;
}

template <class T> __device__ __forceinline__ int ae_ones(T value) {
    return sizeof(T) == 8 ? __popcll((unsigned long long)value)
                          : __popc((unsigned)value & (sizeof(T) == 4 ? ~0u : (1u << (8 * sizeof(T))) - 1));
}
template <class T> __device__ __forceinline__ int ae_leading_zeros(T value) {
    int count = 0;
    for (int bit = 8 * (int)sizeof(T) - 1; bit >= 0 && !((unsigned long long)value >> bit & 1); bit--) count++;
    return count;
}
template <class T> __device__ __forceinline__ T ae_trailing_zeros(T value) {
    int count = 0;
    while (count < 8 * (int)sizeof(T) && !((unsigned long long)value >> count & 1)) count++;
    return (T)count;
}

/* float16 by integers: NVRTC has no header for it. To the nearest, halves to the even neighbour; a NaN stays one. */
__device__ __forceinline__ float ae_half_to_float(uint16_t half) {
    const unsigned magnitude = (unsigned)(half & 0x7fff) << 13, exponent = magnitude & 0x0f800000u;
    unsigned bits = magnitude + (112u << 23);
    if (exponent == 0x0f800000u) bits += 112u << 23;
    if (exponent == 0) bits = ae_bits<unsigned>(ae_bits<float>(bits + (1u << 23)) - 0x1p-14f);
    return ae_bits<float>(bits | (unsigned)(half & 0x8000) << 16);
}
__device__ __forceinline__ uint16_t ae_float_to_half(float value) {
    unsigned bits = ae_bits<unsigned>(value);
    const unsigned sign = bits >> 16 & 0x8000u;
    bits &= 0x7fffffffu;
    unsigned half;
    if (bits > 0x7f800000u) half = 0x7e00u | (bits >> 13 & 0x1ffu);
    else if (bits >= 0x47800000u) half = 0x7c00u;
    else if (bits < 0x38800000u) half = ae_bits<unsigned>(ae_bits<float>(bits) + 0.5f) - 0x3f000000u;
    else half = (bits - 0x38000000u + 0xfffu + (bits >> 13 & 1)) >> 13;
    return (uint16_t)(sign | half);
}
__device__ __forceinline__ float ae_round_half(float value) { return ae_half_to_float(ae_float_to_half(value)); }

/* Wait for all blocks of a cooperative launch; the way of cooperative groups, so that nothing has to be reset. */
__device__ __noinline__ void ae_grid_sync(unsigned *barrier) {
    __syncthreads();
    if (threadIdx.x == 0) {
        const unsigned add = blockIdx.x == 0 ? 0x80000000u - (gridDim.x - 1) : 1u;
        __threadfence();
        const unsigned before = atomicAdd(barrier, add);
        unsigned seen;
        while ((((seen = ae_peek(barrier)) ^ before) & 0x80000000u) == 0) ae_pause(barrier, seen);
        __threadfence();
    }
    __syncthreads();
}

/* The number of a thread among all when counting begins at another one: small calls go to different blocks. */
__device__ __forceinline__ int ae_turn(int thread, int threads, int first) {
    const int turned = thread - first % threads;
    return turned < 0 ? turned + threads : turned;
}
#endif
