/* Matrix products of one row after the other: y[m, :] = Σ over k of x[m, k] · W[k, :].
 *
 * A task is one row m, the columns of a block's threads, and either all inputs or one block of 256 of them. The
 * block's threads list the active inputs in shared memory; then each adds one stored element's columns, many loads
 * under way. */
#ifndef AE_PRODUCTS_CUH
#define AE_PRODUCTS_CUH

struct ae_list {
    unsigned masks[AE_BLOCK / 32];       /* a bit for each active input of the block */
    unsigned short rows[AE_BLOCK];       /* their numbers in the block, ascending */
    float values[AE_BLOCK];              /* what they are, or all inputs of the block where none is skipped */
};

/* List the active ones of 256 inputs from `first`; returns how many. Called by all threads of the block. */
template <bool GRADED, class X>
__device__ __forceinline__ int ae_list_block(ae_list &list, const X *x, int first, int rows) {
    const unsigned below = (1u << (threadIdx.x & 31)) - 1;
    X value[AE_BLOCK / AE_THREADS];
    bool active[AE_BLOCK / AE_THREADS];
#pragma unroll
    for (int part = 0; part < AE_BLOCK / AE_THREADS; part++) {
        const int i = part * AE_THREADS + threadIdx.x;
        value[part] = first + i < rows ? x[first + i] : (X)0;
        active[part] = ae_active(value[part]);
        const unsigned mask = __ballot_sync(0xffffffffu, active[part]);
        if (!(threadIdx.x & 31)) list.masks[i >> 5] = mask;
    }
    __syncthreads();
    int total = 0;
#pragma unroll
    for (int word = 0; word < AE_BLOCK / 32; word++) {
        const unsigned mask = list.masks[word];
#pragma unroll
        for (int part = 0; part < AE_BLOCK / AE_THREADS; part++) {
            const int i = part * AE_THREADS + threadIdx.x;
            if (word == i >> 5 && active[part]) {
                const int place = total + __popc(mask & below);
                list.rows[place] = (unsigned short)i;
                if (GRADED) list.values[place] = (float)value[part];
            }
        }
        total += __popc(mask);
    }
    __syncthreads();
    return total;
}

/* The values of 256 inputs from `first`; returns how many there are. Called by all threads of the block. */
template <class X> __device__ __forceinline__ int ae_copy_block(ae_list &list, const X *x, int first, int rows) {
    for (int i = threadIdx.x; i < AE_BLOCK; i += AE_THREADS)
        list.values[i] = first + i < rows ? (float)x[first + i] : 0.0f;
    __syncthreads();
    return rows - first < AE_BLOCK ? rows - first : AE_BLOCK;
}

/* How many of the listed inputs lie below number `unit · UNIT` of the block. */
template <class W> __device__ __forceinline__ int ae_listed_below(const ae_list &list, int unit) {
    int total = 0;
    for (int word = 0; word < unit * (W::UNIT / 32); word++) total += __popc(list.masks[word]);
    return total;
}

/* Add the rows begin ≤ i < end of a list (or all of these rows, where it has no places), in that order, to the sums
 * of an element's columns; times `values` where GRADED. `weights` is the element in the first row of the block. */
template <class W, bool GRADED, bool CONSTANT, int AHEAD, class S>
__device__ __forceinline__ void ae_add_listed(
    const unsigned short *places, const float *values, const typename W::element *weights, int pitch, int begin,
    int end, S (&sums)[W::WIDTH]) {
    for (int i = begin; i < end; i += AHEAD) {
        typename W::element row[AHEAD];
#pragma unroll
        for (int u = 0; u < AHEAD; u++)
            if (i + u < end) row[u] = ae_weight<CONSTANT>(weights + (places ? (int)places[i + u] : i + u) * pitch);
#pragma unroll
        for (int u = 0; u < AHEAD; u++)
            if (i + u < end)
#pragma unroll
                for (int c = 0; c < W::WIDTH; c++) {
                    const typename W::whole number = W::number(row[u], c);
                    sums[c] = sums[c] + (GRADED ? (S)__fmul_rn(values[i + u], (float)number) : (S)number);
                }
    }
}

/* The sum so far and that of one more unit of inputs; int4: times the unit's scale. */
template <class W>
__device__ __forceinline__ float ae_join(float total, float sum, int unit, const float *scales, int column,
    int columns) {
    if (W::BY_UNIT) return total + __fmul_rn(__ldg(scales + (long long)unit * columns + column), sum);
    return unit ? total + sum : sum;
}

/* The product of `batch` rows of x, `per_matrix` of them by each matrix [rows, columns]. GRADED: inputs are
 * multiplied, else the active ones are 1. SKIPS: silent inputs are not read, which wants finite weights; without it
 * all are, and GRADED is true. CONSTANT: W never changes. Where `split`, out is [batch, units, columns], the sum of
 * each unit of inputs without any scale, for ae_finish; else it is y. */
template <class W, bool GRADED, bool SKIPS, bool CONSTANT, class X>
__device__ __noinline__ void ae_rows_by_units(
    const X *x, const typename W::element *weights, const float *scales, float *out, int first_block, int rows,
    int columns, int batch, int per_matrix, int split) {
    typedef typename ae_either<GRADED, float, typename W::whole>::type sum_type;
    ae_list &list = *(ae_list *)ae_shared;
    const int pitch = (columns + W::WIDTH - 1) / W::WIDTH, tiles = (pitch + AE_THREADS - 1) / AE_THREADS;
    const int blocks = (rows + AE_BLOCK - 1) / AE_BLOCK, units = (rows + W::UNIT - 1) / W::UNIT;
    const int parts = split ? blocks : 1;
    for (int task = ae_block(first_block); task < batch * parts * tiles; task += gridDim.x) {
        const int element = task % tiles * AE_THREADS + threadIdx.x, part = task / tiles % parts;
        const int m = task / tiles / parts;
        const typename W::element *matrix = weights + (long long)(m / per_matrix) * rows * pitch + element;
        int column[W::WIDTH];
        float total[W::WIDTH];
        ae_columns<W>(element, columns, column);
#pragma unroll
        for (int c = 0; c < W::WIDTH; c++) total[c] = 0.0f;
        for (int block = part; block < (split ? part + 1 : blocks); block++) {
            const int first = block * AE_BLOCK;
            const X *own = x + (long long)m * rows;
            const int listed = SKIPS ? ae_list_block<GRADED>(list, own, first, rows) : ae_copy_block(list, own, first,
                rows);
            for (int unit = block * (AE_BLOCK / W::UNIT); unit < units && unit < (block + 1) * (AE_BLOCK / W::UNIT);
                unit++) {
                const int within = unit - block * (AE_BLOCK / W::UNIT);
                int begin = within * W::UNIT, end = begin + W::UNIT < listed ? begin + W::UNIT : listed;
                if (SKIPS) {
                    begin = ae_listed_below<W>(list, within);
                    end = W::UNIT == AE_BLOCK ? listed : ae_listed_below<W>(list, within + 1);
                }
                sum_type sums[W::WIDTH] = {};
                if (column[0] >= 0)
                    ae_add_listed<W, GRADED, CONSTANT, GRADED ? AE_AHEAD : 2 * AE_AHEAD>(
                        SKIPS ? list.rows : (const unsigned short *)0, list.values, matrix + (long long)first * pitch,
                        pitch, begin, end, sums);
#pragma unroll
                for (int c = 0; c < W::WIDTH; c++) {
                    if (column[c] < 0) continue;
                    if (split) out[((long long)m * units + unit) * columns + column[c]] = (float)sums[c];
                    else total[c] = ae_join<W>(total[c], (float)sums[c], unit, scales, column[c], columns);
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

/* The calls of a step: floats, or split sums, which have no scales yet; and integers with their scales. */
template <class W, bool GRADED, bool SKIPS, bool CONSTANT, class X>
__device__ __forceinline__ void ae_rows(
    const X *x, const void *weights, float *out, int first_block, int rows, int columns, int batch, int per_matrix,
    int split) {
    ae_rows_by_units<W, GRADED, SKIPS, CONSTANT>(
        x, (const typename W::element *)weights, (const float *)0, out, first_block, rows, columns, batch, per_matrix,
            split);
}
template <class W, bool GRADED, bool SKIPS, bool CONSTANT, class X>
__device__ __forceinline__ void ae_rows(
    const X *x, const void *weights, const float *scales, float *out, int first_block, int rows, int columns,
        int batch, int per_matrix,
    int split) {
    ae_rows_by_units<W, GRADED, SKIPS, CONSTANT>(
        x, (const typename W::element *)weights, scales, out, first_block, rows, columns, batch, per_matrix, split);
}

/* y[m, :] = the sums of units of inputs, [batch, units, columns], added up ascending, with the scales of integers. */
template <class W>
__device__ __noinline__ void ae_finish_units(const float *sums, const float *scales, float *y, int first_block,
    int rows, int columns, int batch) {
    const int units = (rows + W::UNIT - 1) / W::UNIT;
    const int threads = ae_blocks(first_block) * AE_THREADS;
    for (int i = ae_block(first_block) * AE_THREADS + threadIdx.x; i < batch * columns; i += threads) {
        const int column = i % columns;
        const float *own = sums + (long long)(i / columns) * units * columns + column;
        float total = 0.0f;
#pragma unroll 8
        for (int unit = 0; unit < units; unit++)
            total = ae_join<W>(total, own[(long long)unit * columns], unit, scales, column, columns);
        y[i] = W::BY_COLUMN ? __fmul_rn(__ldg(scales + column), total) : total;
    }
}
template <class W> __device__ __forceinline__ void ae_finish(const float *sums, float *y, int first_block, int rows,
    int columns, int batch) {
    ae_finish_units<W>(sums, (const float *)0, y, first_block, rows, columns, batch);
}
template <class W>
__device__ __forceinline__ void ae_finish(const float *sums, const float *scales, float *y, int first_block, int rows,
    int columns, int batch) {
    ae_finish_units<W>(sums, scales, y, first_block, rows, columns, batch);
}
#endif
