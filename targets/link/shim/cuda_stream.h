/* One stream of a step on a GPU: its state there, and the ticks that are computed of it. What astro_call.device is. */
#ifndef CUDA_STREAM_H
#define CUDA_STREAM_H

#include "cuda_gpu.h"

typedef struct cuda_stream {
    cuda_gpu *gpu;
    CUstream stream;
    CUevent before, after;
    CUdeviceptr state, workspace, control;
    CUdeviceptr inputs, outputs;         /* records in the GPU's own memory */
    uint8_t *host_inputs, *host_outputs; /* the same records in pinned memory, which the GPU reaches too */
    CUdeviceptr mapped_inputs, mapped_outputs;
    uint64_t records; /* that there is room for */
    uint64_t memory;  /* bytes on the GPU, the weights not counted */
    uint32_t blocks;
    uint32_t is_dead; /* a call failed; the message says which */
    double tick_seconds; /* of the last launch of a run; 0: none yet */
    cuda_message message;
} cuda_stream;

/* Everything that a stream has but its GPU, which is the caller's; freed by cuda_free_stream after a failure too. The
 * GPU's context is current. State and workspace are zeros. */
int32_t cuda_fill_stream(cuda_stream *stream, uint32_t wanted_blocks);
void cuda_free_stream(cuda_stream *stream);

/* One tick, and many: checks are done, the GPU's context is current. */
int32_t cuda_step(cuda_stream *stream, astro_call *call);
int32_t cuda_run(cuda_stream *stream, astro_call *call);

#endif
