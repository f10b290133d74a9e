/* Rows of a table of embeddings. */
#ifndef AE_EMBEDDING_CUH
#define AE_EMBEDDING_CUH

/* y[i, :] = table[indices[i], :], times the scale of the entry or of each unit of its elements; an index outside the
 * table takes the nearest entry. A thread gives the columns of one stored element. */
template <class W, class I>
__device__ __noinline__ void ae_embedding_rows(
    const I *indices, const typename W::element *table, const float *scales, float *y, int first_block, int count,
        int entries, int width) {
    const int pitch = (width + W::WIDTH - 1) / W::WIDTH, groups = W::BY_UNIT ? (width + W::UNIT - 1) / W::UNIT : 1;
    const int threads = ae_blocks(first_block) * AE_THREADS;
    for (int i = ae_block(first_block) * AE_THREADS + threadIdx.x; i < count * pitch; i += threads) {
        const I index = indices[i / pitch];
        const long long entry = index < 0 ? 0 : index < entries ? (long long)index : entries - 1;
        const typename W::element stored = __ldg(table + entry * pitch + i % pitch);
        int column[W::WIDTH];
        ae_columns<W>(i % pitch, width, column);
#pragma unroll
        for (int c = 0; c < W::WIDTH; c++) {
            if (column[c] < 0) continue;
            float value = (float)W::number(stored, c);
            if (W::BY_COLUMN || W::BY_UNIT)
                value = __fmul_rn(__ldg(scales + entry * groups + (W::BY_UNIT ? column[c] / W::UNIT : 0)), value);
            y[(long long)(i / pitch) * width + column[c]] = value;
        }
    }
}
template <class W, class I>
__device__ __forceinline__ void ae_embedding(const I *indices, const void *table, float *y, int first_block,
    int count, int entries, int width) {
    ae_embedding_rows<W>(indices, (const typename W::element *)table, (const float *)0, y, first_block, count,
        entries, width);
}
template <class W, class I>
__device__ __forceinline__ void ae_embedding(
    const I *indices, const void *table, const float *scales, float *y, int first_block, int count, int entries,
    int width) {
    ae_embedding_rows<W>(indices, (const typename W::element *)table, scales, y, first_block, count, entries, width);
}
#endif
