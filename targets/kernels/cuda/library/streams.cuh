/* Matrix products of many rows by one matrix: a weight is read once for many of them, each with its own bits. */
#ifndef AE_STREAMS_CUH
#define AE_STREAMS_CUH
#define AE_STRIP 8 /* rows whose dense sums a thread makes at the same time */

/* List the active ones of `count` inputs from `x`, at most 256; returns how many. Called by a whole warp. */
template <bool GRADED, class X> __device__ __forceinline__ int ae_list_warp(ae_warp_list &list, const X *x, int count) {
    const int lane = threadIdx.x & 31;
    int listed = 0;
#pragma unroll 8
    for (int first = 0; first < count; first += 32) {
        const X value = first + lane < count ? x[first + lane] : (X)0;
        const unsigned mask = __ballot_sync(0xffffffffu, ae_active(value));
        if (ae_active(value)) {
            const int at = listed + __popc(mask & ((1u << lane) - 1));
            list.places[at] = (unsigned short)(first + lane);
            if (GRADED) list.values[at] = (float)value;
        }
        listed += __popc(mask);
    }
    __syncwarp();
    return listed;
}

/* Event-driven: a task is `streams` rows of x and the columns of 32 elements. A block of inputs is added up for one row
 * after the other, so that its weights stay in the first cache meanwhile; what a row has so far is in shared memory. */
template <class W, bool GRADED, class X>
__device__ __noinline__ void ae_event_streams(
    const X *x, const typename W::element *weights, const float *scales, float *y, int first_block, int rows,
    int columns, int batch, int streams) {
    typedef typename ae_either<GRADED, float, typename W::whole>::type sum_type;
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, chunks = (batch + streams - 1) / streams;
    ae_warp_list &list = ((ae_warp_list *)ae_shared)[warp];
    float(*totals)[32 * W::WIDTH] = (float(*)[32 * W::WIDTH])((ae_warp_list *)ae_shared + AE_THREADS / 32);
    const int pitch = (columns + W::WIDTH - 1) / W::WIDTH, tiles = (pitch + 31) / 32;
    for (int task = ae_block(first_block); task < tiles * chunks; task += gridDim.x) {
        const int element = task / chunks * 32 + lane, from = task % chunks * streams;
        const int to = from + streams < batch ? from + streams : batch;
        const typename W::element *place = weights + (element < pitch ? element : 0);
        int column[W::WIDTH];
        ae_columns<W>(element, columns, column);
        for (int m = from + warp; m < to; m += AE_THREADS / 32)
#pragma unroll
            for (int c = 0; c < W::WIDTH; c++) totals[m - from][c * 32 + lane] = 0.0f;
        for (int first = 0; first < rows; first += W::UNIT)
            for (int m = from + warp; m < to; m += AE_THREADS / 32) {
                const int count = rows - first < W::UNIT ? rows - first : W::UNIT;
                const int listed = ae_list_warp<GRADED>(list, x + (long long)m * rows + first, count);
                sum_type sums[W::WIDTH] = {};
                ae_add_listed<W, GRADED, true, AE_AHEAD>(list.places, list.values, place + (long long)first * pitch,
                    pitch, 0, listed, sums);
#pragma unroll
                for (int c = 0; c < W::WIDTH; c++) {
                    float &total = totals[m - from][c * 32 + lane];
                    if (column[c] >= 0) total = ae_join<W>(total, (float)sums[c], first / W::UNIT, scales, column[c],
                        columns);
                }
                __syncwarp();
            }
        for (int m = from + warp; m < to; m += AE_THREADS / 32)
#pragma unroll
            for (int c = 0; c < W::WIDTH; c++) {
                const float total = totals[m - from][c * 32 + lane];
                if (column[c] >= 0)
                    y[(long long)m * columns + column[c]] =
                        W::BY_COLUMN ? __fmul_rn(__ldg(scales + column[c]), total) : total;
            }
    }
    __syncthreads();
}
template <class W, bool GRADED, class X>
__device__ __forceinline__ void ae_streams(const X *x, const void *weights, float *y, int first_block, int rows,
    int columns, int batch, int streams) {
    ae_event_streams<W, GRADED>(x, (const typename W::element *)weights, (const float *)0, y, first_block, rows,
        columns, batch, streams);
}
template <class W, bool GRADED, class X>
__device__ __forceinline__ void ae_streams(
    const X *x, const void *weights, const float *scales, float *y, int first_block, int rows, int columns, int batch,
    int streams) {
    ae_event_streams<W, GRADED>(x, (const typename W::element *)weights, scales, y, first_block, rows, columns, batch,
        streams);
}

/* Dense: a warp puts 32 inputs of AE_STRIP rows into shared memory; a lane has the columns of one element of all of
 * them. The parameters are those of ae_rows. */
template <class W, bool CONSTANT, class X>
__device__ __noinline__ void ae_dense_strips(
    const X *x, const typename W::element *weights, const float *scales, float *out, int first_block, int rows,
    int columns, int batch, int per_matrix, int split) {
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, units = (rows + W::UNIT - 1) / W::UNIT;
    const int parts = split ? units : 1;
    float(*values)[AE_STRIP] = ((float(*)[AE_STRIP])ae_shared) + warp * 32;
    const int pitch = (columns + W::WIDTH - 1) / W::WIDTH, tiles = (pitch + 31) / 32;
    const int strips = (per_matrix + AE_STRIP - 1) / AE_STRIP, matrices = batch / per_matrix;
    for (int task = ae_block(first_block) * (AE_THREADS / 32) + warp; task < matrices * strips * tiles * parts;
         task += gridDim.x * (AE_THREADS / 32)) {
        const int strip = task % strips, tile = task / strips % tiles, part = task / strips / tiles % parts;
        const int matrix = task / strips / tiles / parts, element = tile * 32 + lane;
        const int from = matrix * per_matrix + strip * AE_STRIP;
        const int count = per_matrix - strip * AE_STRIP < AE_STRIP ? per_matrix - strip * AE_STRIP : AE_STRIP;
        const typename W::element *place = weights + (long long)matrix * rows * pitch + (element < pitch ? element : 0);
        int column[W::WIDTH];
        float total[AE_STRIP][W::WIDTH] = {};
        ae_columns<W>(element, columns, column);
        for (int unit = part; unit < (split ? part + 1 : units); unit++) {
            float sums[AE_STRIP][W::WIDTH] = {};
            const int end = (unit + 1) * W::UNIT < rows ? (unit + 1) * W::UNIT : rows;
            for (int first = unit * W::UNIT; first < end; first += 32) {
#pragma unroll
                for (int s = 0; s < AE_STRIP; s++)
                    values[lane][s] = s < count && first + lane < end ?
                        (float)x[(long long)(from + s) * rows + first + lane] : 0.0f;
                __syncwarp();
#pragma unroll 4
                for (int k = 0; k < (end - first < 32 ? end - first : 32); k++) {
                    const typename W::element row = ae_weight<CONSTANT>(place + (long long)(first + k) * pitch);
#pragma unroll
                    for (int c = 0; c < W::WIDTH; c++) {
                        const float number = (float)W::number(row, c);
#pragma unroll
                        for (int s = 0; s < AE_STRIP; s++) sums[s][c] = sums[s][c] + __fmul_rn(values[k][s], number);
                    }
                }
                __syncwarp();
            }
#pragma unroll
            for (int c = 0; c < W::WIDTH; c++)
#pragma unroll
                for (int s = 0; s < AE_STRIP; s++) {
                    if (column[c] < 0 || s >= count) continue;
                    if (split) out[((long long)(from + s) * units + unit) * columns + column[c]] = sums[s][c];
                    else total[s][c] = ae_join<W>(total[s][c], sums[s][c], unit, scales, column[c], columns);
                }
        }
#pragma unroll
        for (int c = 0; c < W::WIDTH; c++)
#pragma unroll
            for (int s = 0; s < AE_STRIP; s++)
                if (!split && column[c] >= 0 && s < count)
                    out[(long long)(from + s) * columns + column[c]] =
                        W::BY_COLUMN ? __fmul_rn(__ldg(scales + column[c]), total[s][c]) : total[s][c];
    }
    __syncthreads();
}
template <class W, bool CONSTANT, class X>
__device__ __forceinline__ void ae_strips(
    const X *x, const void *weights, float *out, int first_block, int rows, int columns, int batch, int per_matrix,
    int split) {
    ae_dense_strips<W, CONSTANT>(
        x, (const typename W::element *)weights, (const float *)0, out, first_block, rows, columns, batch, per_matrix,
            split);
}
template <class W, bool CONSTANT, class X>
__device__ __forceinline__ void ae_strips(
    const X *x, const void *weights, const float *scales, float *out, int first_block, int rows, int columns,
        int batch, int per_matrix,
    int split) {
    ae_dense_strips<W, CONSTANT>(x, (const typename W::element *)weights, scales, out, first_block, rows, columns,
        batch, per_matrix, split);
}
#endif
