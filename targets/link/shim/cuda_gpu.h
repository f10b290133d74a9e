/* A GPU as all streams of this library share it: its context, the kernel and the weights. */
#ifndef CUDA_GPU_H
#define CUDA_GPU_H

#include "cuda_driver.h"

typedef struct cuda_gpu {
    struct cuda_gpu *next;
    uint64_t users;
    uint32_t ordinal;
    uint32_t capability;
    uint32_t image;    /* the capability of the image in use */
    uint32_t compiled; /* whether that is PTX */
    uint32_t blocks;   /* that run at once */
    uint32_t is_dead; /* a call failed, after which its context is of no use */
    CUdevice device;
    CUcontext context;
    CUmodule module;
    CUfunction function;
    CUdeviceptr weights;
    char name[128];
} cuda_gpu;

/* Bytes that a buffer of a size takes: there is none without bytes. */
size_t cuda_room(uint64_t size);

/* Use GPU number `ordinal`, opening it if nobody else does; `weights` are the host's. The last who releases it frees
 * everything. The caller has the lock of cuda_driver.h. */
int32_t cuda_take_gpu(uint32_t ordinal, const void *weights, cuda_gpu **result, cuda_message message);
void cuda_release_gpu(cuda_gpu *gpu);

/* Make the GPU's context the one of this thread, and what was before that again. */
int32_t cuda_enter(const cuda_gpu *gpu, cuda_message message);
void cuda_leave(void);

/* The message and status where the GPU has no memory for `what` (" for its code"), or of another failure. A `size` of 0 is
 * one that is not known. */
int32_t cuda_check_memory(const cuda_gpu *gpu, cuda_message message, CUresult result, uint64_t size, const char *what);

#endif
