/* A recurrent net in one launch, with what makes device code go wrong: lists by votes in shared memory, sums in a fixed
 * order, shuffles, barriers of a block and of the whole grid, atomic counters, double precision, integer products,
 * small arrays of a thread, and memory that the host may change while the kernel runs. */
#ifndef ASTRO_EMULATED
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned long long uint64_t;
__device__ __forceinline__ unsigned ae_peek(const unsigned *at) { return *(const volatile unsigned *)at; }
__device__ __forceinline__ void ae_pause(const unsigned *, unsigned) {}
#endif
#define THREADS 128
#define BLOCK 256

__device__ __noinline__ void sync_grid(unsigned *barrier) {
    __syncthreads();
    if (threadIdx.x == 0) {
        const unsigned add = blockIdx.x == 0 ? 0x80000000u - (gridDim.x - 1) : 1u;
        __threadfence(); /* FENCE */
        const unsigned before = atomicAdd(barrier, add);
        unsigned seen;
        while ((((seen = ae_peek(barrier)) ^ before) & 0x80000000u) == 0) ae_pause(barrier, seen);
        __threadfence();
    }
    __syncthreads();
}

struct row_list {
    unsigned masks[BLOCK / 32];
    uint16_t rows[BLOCK];
};

/* The active ones of 256 inputs, ascending. */
template <class X> __device__ __forceinline__ int list_rows(row_list &list, const X *x, int first, int rows) {
    const int lane = threadIdx.x & 31;
    bool active[BLOCK / THREADS];
#pragma unroll
    for (int part = 0; part < BLOCK / THREADS; part++) {
        const int i = part * THREADS + threadIdx.x;
        active[part] = first + i < rows && !(x[first + i < rows ? first + i : 0] == (X)0);
        const unsigned mask = __ballot_sync(0xffffffffu, active[part]);
        if (lane == 0) list.masks[i >> 5] = mask;
    }
    __syncthreads(); /* MASKS */
    int total = 0;
    for (int word = 0; word < BLOCK / 32; word++) {
        const unsigned mask = list.masks[word];
#pragma unroll
        for (int part = 0; part < BLOCK / THREADS; part++) {
            const int i = part * THREADS + threadIdx.x;
            if (word == i >> 5 && active[part]) list.rows[total + __popc(mask & ((1u << lane) - 1))] = (uint16_t)i;
        }
        total += __popc(mask);
    }
    __syncthreads(); /* ROWS */
    return total;
}

/* partial[block][column] = Σ of the block's active rows, times x where GRADED. */
template <bool GRADED, class X>
__device__ __noinline__ void add_rows(const X *x, const float *weights, float *partial, int rows, int columns) {
    __shared__ row_list list;
    const int blocks = (rows + BLOCK - 1) / BLOCK, tiles = (columns + THREADS - 1) / THREADS;
    for (int task = blockIdx.x; task < blocks * tiles; task += gridDim.x) {
        const int block = task % blocks, column = task / blocks * THREADS + threadIdx.x, first = block * BLOCK;
        const int total = list_rows(list, x, first, rows);
        float sum = 0.0f;
        if (column < columns) {
            for (int i = 0; i < total; i++) {
                float row = __ldg(weights + (first + list.rows[i]) * columns + column);
                if (GRADED) row = __fmul_rn((float)x[first + list.rows[i]], row);
                sum = sum + row;
            }
            partial[block * columns + column] = sum;
        }
        __syncthreads();
    }
}

__device__ __noinline__ void finish(const float *partial, float *y, int rows, int columns) {
    const int blocks = (rows + BLOCK - 1) / BLOCK;
    for (int i = blockIdx.x * THREADS + threadIdx.x; i < columns; i += gridDim.x * THREADS) {
        float sum = partial[i];
        for (int block = 1; block < blocks; block++) sum = sum + partial[block * columns + i];
        y[i] = sum;
    }
}

/* The mean by lanes of 16 and a tree, in double precision at its end. */
__device__ __noinline__ float mean_of(const float *x, int width) {
    float sum = 0.0f;
    for (int i = threadIdx.x & 15; i < width; i += 16) sum = sum + x[i];
    for (int half = 8; half; half >>= 1) sum = sum + __shfl_down_sync(0xffffffffu, sum, half, 16);
    const double total = (double)__shfl_sync(0xffffffffu, sum, 0, 16);
    return (float)__ddiv_rn(total, (double)width);
}

extern "C" __global__ void __launch_bounds__(THREADS)
run(const uint8_t *spikes, const float *weights, float *partial, float *current, float *voltage, float *outputs,
    uint64_t *counters, unsigned *control, const unsigned *stop, int rows, int columns, int steps) {
    const int thread = blockIdx.x * THREADS + threadIdx.x, threads = gridDim.x * THREADS;
    for (int step = 0; step < steps; step++) {
        if (thread == 0) control[16] = ae_peek(stop);
        add_rows<false>(spikes + step * rows, weights, partial, rows, columns);
        sync_grid(control); /* PARTIAL */
        if (control[16]) break;
        finish(partial, current, rows, columns);
        sync_grid(control); /* CURRENT */
        const float mean = mean_of(current, columns);
        unsigned packed = 0;
        for (int i = thread; i < (columns + 127) / 128 * 128; i += threads) {
            const bool inside = i < columns;
            float v = inside ? __fmul_rn(voltage[i], 0.9f) + (current[i] - mean) : 0.0f;
            const bool fired = v > 1.0f;
            const unsigned mask = __ballot_sync(0xffffffffu, fired);
            const unsigned long long fired_here = __popc(mask);
            if ((threadIdx.x & 31) == 0 && mask) atomicAdd((unsigned long long *)counters, fired_here);
            v = fired ? v - 1.0f : v;
            signed char codes[4] = {(signed char)__float2int_rn(__fmul_rn(v, 32.0f)), 3, -7, (signed char)(i & 127)};
            int sum = step;
            for (int k = 0; k < 4; k++) sum += codes[k] * codes[(k + step) & 3];
            packed = packed ^ (unsigned)sum << (i & 7);
            if (inside) {
                voltage[i] = v;
                outputs[step * columns + i] = __fdiv_rn(__fsqrt_rn(fabsf(v)), __fadd_rn(1.5f, (float)(sum & 255)));
            }
        }
        atomicXor((unsigned *)(counters + 1), packed);
        sync_grid(control); /* STEP */
    }
}
