/* Convolutions of plain images [batch, channels, height, width] by weights [group, tap, output of the group].
 *
 * Taps are in the order of a sum: kernel row, kernel column, channel. `taps` tells of each two numbers: how far it
 * lies from the window's first element in memory, and (rows below it) << 16 | columns beside it. Sums are made in
 * blocks of `length` taps, counted anew every `period`; block sums are added up ascending, and the scale of integer
 * weights comes last. */
#ifndef AE_CONVOLUTIONS_CUH
#define AE_CONVOLUTIONS_CUH
#define AE_PIXELS 8 /* neighbouring outputs whose dense sums a thread makes at the same time */

struct ae_conv {
    int batch, channels, height, width, outputs, out_height, out_width, stride_y, stride_x, top, left, groups, taps,
        length, period;
};
struct ae_tap { int offset, place; };

/* Where the window of output pixel `pixel` begins, perhaps in the padding. */
__device__ __forceinline__ void ae_window(const ae_conv &conv, int pixel, int &row, int &column) {
    row = pixel / conv.out_width * conv.stride_y - conv.top;
    column = pixel % conv.out_width * conv.stride_x - conv.left;
}

/* The element of a tap, 0 in the padding; `own` is the first channel of the window's group. */
__device__ __forceinline__ float ae_image(const ae_conv &conv, const float *own, const ae_tap &tap, int row,
    int column) {
    const bool inside = (unsigned)(row + (tap.place >> 16)) < (unsigned)conv.height &&
                        (unsigned)(column + (tap.place & 0xffff)) < (unsigned)conv.width;
    return inside ? own[row * conv.width + column + tap.offset] : 0.0f;
}

__device__ __forceinline__ ae_tap ae_load_tap(const int *taps, int tap) {
    const ae_tap loaded = {__ldg(taps + 2 * tap), __ldg(taps + 2 * tap + 1)};
    return loaded;
}

/* Where the block of taps that begins at `begin` ends. */
__device__ __forceinline__ int ae_block_end(const ae_conv &conv, int begin) {
    const int turn = (begin / conv.period + 1) * conv.period;
    return begin + conv.length < turn ? begin + conv.length : turn;
}

/* Integers without scales are weights of the graph that are whole numbers. */
template <class W>
__device__ __forceinline__ float ae_scaled(const float *scales, int output, float total) {
    return W::BY_COLUMN && scales ? __fmul_rn(__ldg(scales + output), total) : total;
}

/* Event-driven: a warp lists the active taps of a window's block, then each lane adds their weights of EACH outputs, 32
 * apart. GRADED: times the element, else the active ones are 1. Weights are finite. */
template <class W, bool GRADED, int EACH>
__device__ __noinline__ void ae_event_windows(
    const float *images, const typename W::element *weights, const int *taps, const float *scales, float *y,
    int first_block, const ae_conv &conv) {
    constexpr int AHEAD = EACH == 4 ? 4 : AE_AHEAD, LOOKED = 4;
    typedef typename ae_either<GRADED, float, typename W::whole>::type sum_type;
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, pixels = conv.out_height * conv.out_width;
    ae_warp_list &list = ((ae_warp_list *)ae_shared)[warp];
    const int depth = conv.outputs / conv.groups, tiles = (depth + 32 * EACH - 1) / (32 * EACH);
    const int size = conv.height * conv.width, inputs = conv.channels / conv.groups;
    for (int task = ae_block(first_block) * (AE_THREADS / 32) + warp; task < conv.batch * conv.groups * tiles * pixels;
         task += gridDim.x * (AE_THREADS / 32)) {
        const int pixel = task % pixels, tile = task / pixels % tiles, group = task / pixels / tiles % conv.groups;
        const int image = task / pixels / tiles / conv.groups;
        const float *own = images + ((long long)image * conv.channels + group * inputs) * size;
        const typename W::element *place[EACH];
        float total[EACH];
        int row, column;
        ae_window(conv, pixel, row, column);
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            const int output = tile * 32 * EACH + 32 * e + lane; /* one behind the last adds what nobody stores */
            place[e] = weights + (long long)group * conv.taps * depth + (output < depth ? output : 0);
            total[e] = 0.0f;
        }
        for (int begin = 0, end; begin < conv.taps; begin = end) {
            end = ae_block_end(conv, begin);
            int listed = 0;
            for (int first = begin; first < end; first += 32 * LOOKED) {
                float value[LOOKED];
#pragma unroll
                for (int u = 0; u < LOOKED; u++) {
                    const int tap = first + 32 * u + lane;
                    value[u] = tap < end ? ae_image(conv, own, ae_load_tap(taps, tap), row, column) : 0.0f;
                }
#pragma unroll
                for (int u = 0; u < LOOKED; u++) {
                    const unsigned mask = __ballot_sync(0xffffffffu, ae_active(value[u]));
                    const int at = listed + __popc(mask & ((1u << lane) - 1));
                    if (ae_active(value[u])) {
                        list.places[at] = (unsigned short)(first + 32 * u + lane - begin);
                        if (GRADED) list.values[at] = value[u];
                    }
                    listed += __popc(mask);
                }
            }
            __syncwarp();
            sum_type sums[EACH] = {};
            for (int i = 0; i < listed; i += AHEAD) {
                typename W::element found[AHEAD][EACH];
                float value[AHEAD];
#pragma unroll
                for (int u = 0; u < AHEAD; u++)
                    if (i + u < listed) {
                        const int offset = (begin + list.places[i + u]) * depth;
                        if (GRADED) value[u] = list.values[i + u];
#pragma unroll
                        for (int e = 0; e < EACH; e++) found[u][e] = __ldg(place[e] + offset);
                    }
#pragma unroll
                for (int u = 0; u < AHEAD; u++)
                    if (i + u < listed)
#pragma unroll
                        for (int e = 0; e < EACH; e++) {
                            const typename W::whole number = W::number(found[u][e], 0);
                            sums[e] = sums[e] + (GRADED ? (sum_type)__fmul_rn(value[u], (float)number) :
                                (sum_type)number);
                        }
            }
            __syncwarp();
#pragma unroll
            for (int e = 0; e < EACH; e++) total[e] = total[e] + (float)sums[e];
        }
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            const int output = tile * 32 * EACH + 32 * e + lane;
            if (output < depth)
                y[((long long)image * conv.outputs + group * depth + output) * pixels + pixel] =
                    ae_scaled<W>(scales, group * depth + output, total[e]);
        }
    }
    __syncthreads();
}

/* Where a warp's windows begin, and 32 taps of them. */
struct ae_window_taps {
    int rows[AE_PIXELS], columns[AE_PIXELS];
    float values[32][AE_PIXELS];
};

/* Dense: a warp puts 32 taps of AE_PIXELS windows into shared memory; a lane has one output of all of them. */
template <class W>
__device__ __noinline__ void ae_dense_windows(
    const float *images, const typename W::element *weights, const int *taps, const float *scales, float *y,
    int first_block, const ae_conv &conv) {
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, pixels = conv.out_height * conv.out_width;
    ae_window_taps &windows = ((ae_window_taps *)ae_shared)[warp];
    const int depth = conv.outputs / conv.groups, tiles = (depth + 31) / 32;
    const int strips = (pixels + AE_PIXELS - 1) / AE_PIXELS;
    const int size = conv.height * conv.width, inputs = conv.channels / conv.groups;
    for (int task = ae_block(first_block) * (AE_THREADS / 32) + warp; task < conv.batch * conv.groups * tiles * strips;
         task += gridDim.x * (AE_THREADS / 32)) {
        const int strip = task % strips, tile = task / strips % tiles, group = task / strips / tiles % conv.groups;
        const int image = task / strips / tiles / conv.groups, output = tile * 32 + lane, start = strip * AE_PIXELS;
        const float *own = images + ((long long)image * conv.channels + group * inputs) * size;
        const typename W::element *place = weights + (long long)group * conv.taps * depth +
            (output < depth ? output : 0);
        float total[AE_PIXELS] = {};
        if (lane < AE_PIXELS)
            ae_window(conv, start + lane < pixels ? start + lane : pixels - 1, windows.rows[lane],
                windows.columns[lane]);
        __syncwarp();
        for (int begin = 0, end; begin < conv.taps; begin = end) {
            end = ae_block_end(conv, begin);
            float sums[AE_PIXELS] = {};
            for (int first = begin; first < end; first += 32) {
                const int count = end - first < 32 ? end - first : 32;
                if (lane < count) {
                    const ae_tap tap = ae_load_tap(taps, first + lane);
#pragma unroll
                    for (int p = 0; p < AE_PIXELS; p++)
                        windows.values[lane][p] = ae_image(conv, own, tap, windows.rows[p], windows.columns[p]);
                }
                __syncwarp();
#pragma unroll 4
                for (int k = 0; k < count; k++) {
                    const float number = (float)W::number(__ldg(place + (first + k) * depth), 0);
#pragma unroll
                    for (int p = 0; p < AE_PIXELS; p++) sums[p] = sums[p] + __fmul_rn(number, windows.values[k][p]);
                }
                __syncwarp();
            }
#pragma unroll
            for (int p = 0; p < AE_PIXELS; p++) total[p] = total[p] + sums[p];
        }
        if (output < depth)
#pragma unroll
            for (int p = 0; p < AE_PIXELS; p++)
                if (start + p < pixels)
                    y[((long long)image * conv.outputs + group * depth + output) * pixels + start + p] =
                        ae_scaled<W>(scales, group * depth + output, total[p]);
    }
    __syncthreads();
}

/* Dense, for groups of few outputs: a thread makes one output pixel, its neighbours in the block the next ones. */
template <class W>
__device__ __noinline__ void ae_single_windows(
    const float *images, const typename W::element *weights, const int *taps, const float *scales, float *y,
    int first_block, const ae_conv &conv) {
    const int pixels = conv.out_height * conv.out_width, depth = conv.outputs / conv.groups;
    const int size = conv.height * conv.width, inputs = conv.channels / conv.groups;
    for (int i = ae_block(first_block) * AE_THREADS + threadIdx.x; i < conv.batch * conv.outputs * pixels;
        i += gridDim.x * AE_THREADS) {
        const int output = i / pixels % conv.outputs, group = output / depth;
        const float *own = images + ((long long)(i / pixels / conv.outputs) * conv.channels + group * inputs) * size;
        const typename W::element *place = weights + (long long)group * conv.taps * depth + output % depth;
        int row, column;
        ae_window(conv, i % pixels, row, column);
        float total = 0.0f;
        for (int begin = 0, end; begin < conv.taps; begin = end) {
            end = ae_block_end(conv, begin);
            float sum = 0.0f;
#pragma unroll 4
            for (int tap = begin; tap < end; tap++) {
                const float value = ae_image(conv, own, ae_load_tap(taps, tap), row, column);
                sum = sum + __fmul_rn((float)W::number(__ldg(place + tap * depth), 0), value);
            }
            total = total + sum;
        }
        y[i] = ae_scaled<W>(scales, output, total);
    }
}

/* The calls of a step: SHAPE is ae_event<GRADED, EACH>, ae_dense or ae_single; scales only beside int8 weights, but
 * not those of a graph that is integers itself. */
template <bool GRADED, int EACH> struct ae_event {
    template <class W>
    static __device__ __forceinline__ void run(
        const float *images, const void *weights, const int *taps, const float *scales, float *y, int first_block,
            const ae_conv &conv) {
        ae_event_windows<W, GRADED, EACH>(images, (const typename W::element *)weights, taps, scales, y, first_block,
            conv);
    }
};
struct ae_dense {
    template <class W>
    static __device__ __forceinline__ void run(
        const float *images, const void *weights, const int *taps, const float *scales, float *y, int first_block,
            const ae_conv &conv) {
        ae_dense_windows<W>(images, (const typename W::element *)weights, taps, scales, y, first_block, conv);
    }
};
struct ae_single {
    template <class W>
    static __device__ __forceinline__ void run(
        const float *images, const void *weights, const int *taps, const float *scales, float *y, int first_block,
            const ae_conv &conv) {
        ae_single_windows<W>(images, (const typename W::element *)weights, taps, scales, y, first_block, conv);
    }
};
template <class W, class SHAPE, class... SIZES>
__device__ __forceinline__ void ae_convolve(
    const float *images, const void *weights, const int *taps, float *y, int first_block, int batch, SIZES... sizes) {
    const ae_conv conv = {batch, sizes...};
    SHAPE::template run<W>(images, weights, taps, (const float *)0, y, first_block, conv);
}
template <class W, class SHAPE, class... SIZES>
__device__ __forceinline__ void ae_convolve(
    const float *images, const void *weights, const int *taps, const float *scales, float *y, int first_block,
    int batch, SIZES... sizes) {
    const ae_conv conv = {batch, sizes...};
    SHAPE::template run<W>(images, weights, taps, scales, y, first_block, conv);
}
#endif
