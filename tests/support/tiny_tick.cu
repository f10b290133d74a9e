/* tiny_tick.c for a GPU, by hand, as the compiler would write it: one launch does `steps` ticks, and all blocks wait for
 * each other twice in each. A neuron is a thread of some block, so a wrong barrier shows. */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

enum { NEURONS = 32, FEATURES = 8, GATES = 2, READOUTS = 4 };

/* All threads of the grid wait for each other; control[0] counts arrivals, never reset. */
__device__ __noinline__ void wait_for_all(u32 *control)
{
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        u32 before = atomicAdd(&control[0], 1u);
        u32 goal = before - before % gridDim.x + gridDim.x;
        while ((int)(*(volatile u32 *)&control[0] - goal) < 0)
            ;
        __threadfence();
    }
    __syncthreads();
}

__device__ void neuron(int n, const u8 *in, u8 *out, u8 *s, const u8 *w, u64 *count)
{
    const float *x = (const float *)(in + 64);
    const unsigned short *gate = (const unsigned short *)(in + 128);
    float *v = (float *)s, *threshold = (float *)(s + 128);
    u8 *last = s + 320, *spikes = out + 64;
    const float *embedding = (const float *)w, *input = (const float *)(w + 2048);
    float current = embedding[*(const long long *)in * NEURONS + n];
    for (int k = 0; k < FEATURES; k++)
        current = __fadd_rn(current, __fmul_rn(x[k], input[k * NEURONS + n]));
    for (int g = 0; g < GATES; g++)
        current = __fsub_rn(current, gate[g] >> 15 ? 0.5f : 0.0f);
    float decayed = __fadd_rn(__fmul_rn(v[n], 0.875f), current);
    v[n] = __fsub_rn(decayed, last[n] ? threshold[n] : 0.0f);
    u8 fires = v[n] >= threshold[n];
    threshold[n] =
        fires ? __fadd_rn(threshold[n], 0.25f) : __fadd_rn(1.0f, __fmul_rn(__fsub_rn(threshold[n], 1.0f), 0.5f));
    spikes[n] = last[n] = fires;
    if (fires)
        atomicAdd(count, 1ull);
}

__device__ void readout(int j, u8 *out, const u8 *w)
{
    const float *weights = (const float *)(w + 3072);
    volatile const u8 *spikes = out + 64; /* other blocks wrote them */
    float sum = 0.0f;
    for (int n = 0; n < NEURONS; n++)
        if (spikes[n])
            sum = __fadd_rn(sum, weights[n * READOUTS + j]);
    ((float *)out)[j] = sum;
}

extern "C" __global__ void __launch_bounds__(128)
    astroedge_run(u8 *inputs, u8 *outputs, u8 *state, u8 *weights, u8 *workspace, u32 *control, int steps, u64 input_stride,
                  u64 output_stride)
{
    const int thread = threadIdx.x * gridDim.x + blockIdx.x;
    for (int tick = 0; tick < steps; tick++) {
        u8 *in = inputs + tick * input_stride, *out = outputs + tick * output_stride;
        if (thread < NEURONS)
            neuron(thread, in, out, state, weights, (u64 *)workspace);
        wait_for_all(control);
        if (thread < READOUTS)
            readout(thread, out, weights);
        if (thread == 0)
            *(long long *)(state + 256) += 1;
        wait_for_all(control);
    }
}
