/* What the functions of the library share. The text that includes them defines AE_SHARED_BYTES, the most that one
 * needs.
 *
 * Every function `ae_…` that a step calls is called by all threads of all blocks (AE_THREADS a block) and divides
 * its tasks over the blocks, from `first_block` on. Blocks never wait for each other inside one, and no two write
 * the same element. Products are rounded before they are added (__fmul_rn), whatever the compiler may do; sums are
 * in the order of docs/exactness.md.
 *
 * The arrays may be written by earlier calls of the same launch: only weights are read by __ldg. */
#ifndef AE_COMMON_CUH
#define AE_COMMON_CUH
#ifndef AE_THREADS
#define AE_THREADS 128
#endif
#define AE_BLOCK 256 /* inputs whose products are added up before their sum is added to those of other blocks */
#define AE_AHEAD 8   /* weights that a thread waits for at the same time; twice as many where they are only added */

/* Shared memory of a block, used by one function at a time: each leaves it behind a __syncthreads. */
struct alignas(16) ae_quad { unsigned words[4]; };
__shared__ ae_quad ae_shared[AE_SHARED_BYTES / 16];

/* Where the tick says nothing else, every call begins with the first block. */
#ifndef AE_FIRST_BLOCK
#define AE_FIRST_BLOCK 0
#endif
/* Where it says this, each block makes everything for itself. */
#define AE_EACH_BLOCK (-1)

/* How many blocks share the work of a call. */
__device__ __forceinline__ int ae_blocks(int first) { return first < 0 ? 1 : (int)gridDim.x; }

/* The number of this block when counting begins at `first`: small calls without a barrier between go to different
 * ones. */
__device__ __forceinline__ int ae_block(int first) {
    if (first < 0) return 0;
    const int block = (int)blockIdx.x - first % (int)gridDim.x;
    return block < 0 ? block + (int)gridDim.x : block;
}

/* One type or the other. */
template <bool WANTED, class YES, class NO> struct ae_either { typedef YES type; };
template <class YES, class NO> struct ae_either<false, YES, NO> { typedef NO type; };

/* Whether an input is active: −0.0 is not, a NaN is. */
template <class X> __device__ __forceinline__ bool ae_active(X x) { return !(x == (X)0); }

/* A stored weight of 16 bits as a float32, exactly; weights are finite. */
__device__ __forceinline__ float ae_half(unsigned short bits) {
#ifdef __CUDACC_RTC__
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
#else
    const float size = __fmul_rn(__int_as_float((bits & 0x7fff) << 13), __int_as_float(0x77800000)); /* 2^112 */
    return bits & 0x8000 ? -size : size;
#endif
}

/* A weight, where constant by the way past the first cache's coherence. */
template <bool CONSTANT, class E> __device__ __forceinline__ E ae_weight(const E *place) {
    return CONSTANT ? __ldg(place) : *place;
}

/* The columns that byte `byte` of a row of `columns` int4 weights holds: chunks of 64 columns, then of 32, 16 … for
 * the rest, each chunk with its first half in the low nibbles and its second half in the high ones. `high` is −1
 * where there is none. */
__device__ __forceinline__ void ae_nibble_columns(int byte, int columns, int &low, int &high) {
    const int whole = columns / 64;
    int first = byte / 32 * 64, place = byte % 32, width = 64;
    if (byte >= whole * 32) {
        first = whole * 64;
        place = byte - whole * 32;
        width = 32;
        while (!(columns % 64 & width) || place >= (width + 1) / 2) {
            if (columns % 64 & width) {
                place -= (width + 1) / 2;
                first += width;
            }
            width /= 2;
        }
    }
    low = first + place;
    high = width > 1 ? low + width / 2 : -1;
}

/* Active inputs that a warp lists for itself: their places among those looked at, ascending, and what they are. */
struct ae_warp_list {
    unsigned short places[AE_BLOCK];
    float values[AE_BLOCK];
};

/* How weights are stored: ELEMENT holds WIDTH of them, UNIT inputs are summed at a time, and a scale multiplies the sum
 * of each column (BY_COLUMN) or of each unit (BY_UNIT). `number<c>` is the c-th weight of an element. */
struct ae_float32 {
    typedef float element;
    typedef float whole;
    static constexpr int WIDTH = 1, UNIT = AE_BLOCK;
    static constexpr bool BY_COLUMN = false, BY_UNIT = false;
    static __device__ __forceinline__ float number(element e, int) { return e; }
};
struct ae_float16 {
    typedef unsigned short element;
    typedef float whole;
    static constexpr int WIDTH = 1, UNIT = AE_BLOCK;
    static constexpr bool BY_COLUMN = false, BY_UNIT = false;
    static __device__ __forceinline__ float number(element e, int) { return ae_half(e); }
};
struct ae_int8 {
    typedef signed char element;
    typedef int whole; /* sums of weights are exact integers */
    static constexpr int WIDTH = 1, UNIT = AE_BLOCK;
    static constexpr bool BY_COLUMN = true, BY_UNIT = false;
    static __device__ __forceinline__ int number(element e, int) { return e; }
};
struct ae_int4 {
    typedef unsigned char element;
    typedef int whole;
    static constexpr int WIDTH = 2, UNIT = 64;
    static constexpr bool BY_COLUMN = false, BY_UNIT = true;
    static __device__ __forceinline__ int number(element e, int c) { return (c ? e >> 4 : e & 15) - 8; }
};

/* The columns that an element of a row holds; −1 where there is none. */
template <class W> __device__ __forceinline__ void ae_columns(int element, int columns, int (&found)[W::WIDTH]) {
    if (W::WIDTH == 1) found[0] = element < columns ? element : -1;
    else if (element < (columns + 1) / 2) ae_nibble_columns(element, columns, found[0], found[W::WIDTH - 1]);
    else found[0] = found[W::WIDTH - 1] = -1;
}

/* counter += the number of active elements of x. The last blocks count: products give the first ones more to do. */
template <class X, class N> __device__ __noinline__ void ae_count(const X *x, N *counter, int size) {
    const int block = gridDim.x - 1 - blockIdx.x;
    for (int first = block * AE_THREADS; first < size; first += gridDim.x * AE_THREADS) {
        const int i = first + threadIdx.x;
        const unsigned mask = __ballot_sync(0xffffffffu, i < size && ae_active(x[i < size ? i : 0]));
        if ((threadIdx.x & 31) == 0 && mask) atomicAdd((unsigned long long *)counter, (unsigned long long)__popc(mask));
    }
}
#endif
