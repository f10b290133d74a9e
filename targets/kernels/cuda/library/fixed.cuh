/* Dense products of integer weights: with inputs in fixed point, and of integers alone.
 *
 * In a block of 256 inputs whose largest magnitude lies in [2^e, 2^(e+1)) every input x becomes the integer nearest to
 * x · 2^(29 − e). A unit's sum of products is an exact integer, rounded once, times 2^(e − 29). */
#ifndef AE_FIXED_CUH
#define AE_FIXED_CUH

struct ae_fixed_block {
    int peaks[AE_THREADS / 32];
    int values[AE_BLOCK];
};

/* Put 256 inputs from `first` in fixed point; returns their factor, NaN where one is infinite or NaN. All threads of
 * the block call it. */
template <class X> __device__ __forceinline__ float ae_fix_block(ae_fixed_block &block, const X *x, int first,
    int rows) {
    constexpr int PARTS = AE_BLOCK / AE_THREADS;
    float value[PARTS];
    int peak = 0;
#pragma unroll
    for (int part = 0; part < PARTS; part++) {
        const int i = first + part * AE_THREADS + threadIdx.x;
        value[part] = i < rows ? (float)x[i] : 0.0f;
        const int magnitude = __float_as_int(value[part]) & 0x7fffffff;
        peak = magnitude > peak ? magnitude : peak;
    }
    for (int half = 16; half; half >>= 1) {
        const int other = __shfl_xor_sync(0xffffffffu, peak, half);
        peak = other > peak ? other : peak;
    }
    if (!(threadIdx.x & 31)) block.peaks[threadIdx.x / 32] = peak;
    __syncthreads();
#pragma unroll
    for (int warp = 0; warp < AE_THREADS / 32; warp++) peak = block.peaks[warp] > peak ? block.peaks[warp] : peak;
    const int exponent = peak >> 23 > 30 ? peak >> 23 : 30;
    const float multiplier = __int_as_float((283 - exponent) << 23);
#pragma unroll
    for (int part = 0; part < PARTS; part++)
        block.values[part * AE_THREADS + threadIdx.x] = exponent == 255 ? 0 :
            __float2int_rn(__fmul_rn(value[part], multiplier));
    __syncthreads();
    return __int_as_float(exponent == 255 ? 0x7fc00000 : (exponent - 29) << 23);
}

/* The products of `batch` rows of x in fixed point by W[rows, columns]; the other parameters are those of ae_rows. */
template <class W, class X>
__device__ __noinline__ void ae_fixed_by_units(
    const X *x, const typename W::element *weights, const float *scales, float *out, int first_block, int rows,
    int columns, int batch, int split) {
    ae_fixed_block &fixed = *(ae_fixed_block *)ae_shared;
    constexpr int UNITS = AE_BLOCK / W::UNIT;
    const int pitch = (columns + W::WIDTH - 1) / W::WIDTH, tiles = (pitch + AE_THREADS - 1) / AE_THREADS;
    const int blocks = (rows + AE_BLOCK - 1) / AE_BLOCK, units = (rows + W::UNIT - 1) / W::UNIT;
    const int parts = split ? blocks : 1;
    for (int task = ae_block(first_block); task < batch * parts * tiles; task += gridDim.x) {
        const int element = task % tiles * AE_THREADS + threadIdx.x, part = task / tiles % parts;
        const int m = task / tiles / parts;
        int column[W::WIDTH];
        float total[W::WIDTH];
        ae_columns<W>(element, columns, column);
#pragma unroll
        for (int c = 0; c < W::WIDTH; c++) total[c] = 0.0f;
        for (int block = part; block < (split ? part + 1 : blocks); block++) {
            const float factor = ae_fix_block(fixed, x + (long long)m * rows, block * AE_BLOCK, rows);
            for (int unit = block * UNITS; unit < units && unit < (block + 1) * UNITS; unit++) {
                const int first = unit * W::UNIT, count = rows - first < W::UNIT ? rows - first : W::UNIT;
                const int *values = fixed.values + (unit - block * UNITS) * W::UNIT;
                const typename W::element *place = weights + (long long)first * pitch + element;
                long long sums[W::WIDTH] = {};
                if (column[0] >= 0)
#pragma unroll 8
                    for (int k = 0; k < count; k++) {
                        const typename W::element row = __ldg(place + k * pitch);
#pragma unroll
                        for (int c = 0; c < W::WIDTH; c++) sums[c] += (long long)values[k] * W::number(row, c);
                    }
#pragma unroll
                for (int c = 0; c < W::WIDTH; c++) {
                    if (column[c] < 0) continue;
                    const float sum = __fmul_rn((float)sums[c], factor);
                    if (split) out[((long long)m * units + unit) * columns + column[c]] = sum;
                    else total[c] = ae_join<W>(total[c], sum, unit, scales, column[c], columns);
                }
            }
            __syncthreads();
        }
#pragma unroll
        for (int c = 0; c < W::WIDTH; c++)
            if (!split && column[c] >= 0)
                out[(long long)m * columns + column[c]] =
                    W::BY_COLUMN ? __fmul_rn(__ldg(scales + column[c]), total[c]) : total[c];
    }
}
template <class W, class X>
__device__ __forceinline__ void ae_fixed(const X *x, const void *weights, float *out, int first_block, int rows,
    int columns, int batch, int split) {
    ae_fixed_by_units<W>(x, (const typename W::element *)weights, (const float *)0, out, first_block, rows, columns,
        batch, split);
}
template <class W, class X>
__device__ __forceinline__ void ae_fixed(
    const X *x, const void *weights, const float *scales, float *out, int first_block, int rows, int columns,
    int batch, int split) {
    ae_fixed_by_units<W>(x, (const typename W::element *)weights, scales, out, first_block, rows, columns, batch,
        split);
}

/* y[m, :] = Σ over k of x[m, k] · W[k, :] of integers, modulo the range of T; `per_matrix` rows m by each matrix. Where
 * `split`, y is [batch, blocks, columns], the sum of each block of 256 inputs. */
template <bool CONSTANT, class T, class E>
__device__ __noinline__ void ae_integers(
    const T *x, const E *weights, T *y, int first_block, int rows, int columns, int batch, int per_matrix, int split) {
    typedef typename ae_either<sizeof(T) == 8, unsigned long long, unsigned>::type modular;
    const int parts = split ? (rows + AE_BLOCK - 1) / AE_BLOCK : 1, length = split ? AE_BLOCK : rows;
    for (int i = ae_block(first_block) * AE_THREADS + threadIdx.x; i < batch * parts * columns;
        i += gridDim.x * AE_THREADS) {
        const int column = i % columns, first = i / columns % parts * length, m = i / columns / parts;
        const int count = rows - first < length ? rows - first : length;
        const E *place = weights + ((long long)(m / per_matrix) * rows + first) * columns + column;
        const T *own = x + (long long)m * rows + first;
        modular total = 0;
#pragma unroll 8
        for (int k = 0; k < count; k++)
            total += (modular)own[k] * (modular)ae_weight<CONSTANT>(place + (long long)k * columns);
        y[i] = (T)total;
    }
}

/* y[m, :] = the sums of blocks, [batch, blocks, columns], added up. */
template <class T> __device__ __noinline__ void ae_add_integers(const T *sums, T *y, int first_block, int rows,
    int columns, int batch) {
    typedef typename ae_either<sizeof(T) == 8, unsigned long long, unsigned>::type modular;
    const int blocks = (rows + AE_BLOCK - 1) / AE_BLOCK;
    for (int i = ae_block(first_block) * AE_THREADS + threadIdx.x; i < batch * columns; i += gridDim.x * AE_THREADS) {
        const T *own = sums + (long long)(i / columns) * blocks * columns + i % columns;
        modular total = 0;
#pragma unroll 8
        for (int block = 0; block < blocks; block++) total += (modular)own[(long long)block * columns];
        y[i] = (T)total;
    }
}
#endif
