/* NVIDIA's driver, libcuda.so.1: opened when it is first needed, and what its failures mean (astro_status). */
#ifndef CUDA_DRIVER_H
#define CUDA_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#include "astro_abi.h"

/* Names and numbers are those of cuda.h, which is not needed to build this. */
typedef int CUresult, CUdevice;
typedef unsigned long long CUdeviceptr;
typedef void *CUcontext, *CUmodule, *CUfunction, *CUstream, *CUevent;

enum {
    CUDA_SUCCESS = 0,
    CUDA_ERROR_OUT_OF_MEMORY = 2,
    CUDA_ERROR_NOT_INITIALIZED = 3,
    CUDA_ERROR_NO_DEVICE = 100,
    CUDA_ERROR_INVALID_IMAGE = 200,
    CUDA_ERROR_NO_BINARY_FOR_GPU = 209,
    CUDA_ERROR_INVALID_PTX = 218,
    CUDA_ERROR_JIT_COMPILER_NOT_FOUND = 221,
    CUDA_ERROR_UNSUPPORTED_PTX_VERSION = 222,
    CUDA_ERROR_JIT_COMPILATION_DISABLED = 223,
    CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
    CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH = 95,
    CU_STREAM_NON_BLOCKING = 1,
    CU_MEMHOSTALLOC_DEVICEMAP = 2
};

#define FUNCTIONS_OF_THE_DRIVER(X)                                                                                     \
    X(cuInit, (unsigned flags))                                                                                        \
    X(cuDriverGetVersion, (int *version))                                                                              \
    X(cuDeviceGetCount, (int *count))                                                                                  \
    X(cuDeviceGet, (CUdevice *device, int ordinal))                                                                    \
    X(cuDeviceGetName, (char *name, int size, CUdevice device))                                                        \
    X(cuDeviceTotalMem_v2, (size_t *bytes, CUdevice device))                                                           \
    X(cuDeviceGetAttribute, (int *value, int attribute, CUdevice device))                                              \
    X(cuDevicePrimaryCtxRetain, (CUcontext *context, CUdevice device))                                                 \
    X(cuDevicePrimaryCtxRelease_v2, (CUdevice device))                                                                 \
    X(cuCtxPushCurrent_v2, (CUcontext context))                                                                        \
    X(cuCtxPopCurrent_v2, (CUcontext *context))                                                                        \
    X(cuModuleLoadData, (CUmodule *module, const void *image))                                                         \
    X(cuModuleUnload, (CUmodule module))                                                                               \
    X(cuModuleGetFunction, (CUfunction *function, CUmodule module, const char *name))                                  \
    X(cuOccupancyMaxActiveBlocksPerMultiprocessor, (int *blocks, CUfunction function, int block, size_t shared))       \
    X(cuMemAlloc_v2, (CUdeviceptr *memory, size_t size))                                                               \
    X(cuMemFree_v2, (CUdeviceptr memory))                                                                              \
    X(cuMemHostAlloc, (void **memory, size_t size, unsigned flags))                                                    \
    X(cuMemFreeHost, (void *memory))                                                                                   \
    X(cuMemHostGetDevicePointer_v2, (CUdeviceptr *device, void *host, unsigned flags))                                 \
    X(cuMemcpyHtoD_v2, (CUdeviceptr target, const void *source, size_t size))                                          \
    X(cuMemcpyDtoH_v2, (void *target, CUdeviceptr source, size_t size))                                                \
    X(cuMemcpyHtoDAsync_v2, (CUdeviceptr target, const void *source, size_t size, CUstream stream))                    \
    X(cuMemcpyDtoHAsync_v2, (void *target, CUdeviceptr source, size_t size, CUstream stream))                          \
    X(cuMemsetD8Async, (CUdeviceptr memory, unsigned char value, size_t size, CUstream stream))                        \
    X(cuStreamCreate, (CUstream *stream, unsigned flags))                                                              \
    X(cuStreamDestroy_v2, (CUstream stream))                                                                           \
    X(cuStreamSynchronize, (CUstream stream))                                                                          \
    X(cuLaunchCooperativeKernel,                                                                                       \
      (CUfunction function, unsigned blocks, unsigned blocks_y, unsigned blocks_z, unsigned block, unsigned block_y,   \
       unsigned block_z, unsigned shared, CUstream stream, void **arguments))                                          \
    X(cuEventCreate, (CUevent *event, unsigned flags))                                                                 \
    X(cuEventDestroy_v2, (CUevent event))                                                                              \
    X(cuEventRecord, (CUevent event, CUstream stream))                                                                 \
    X(cuEventElapsedTime, (float *milliseconds, CUevent before, CUevent after))                                        \
    X(cuGetErrorName, (CUresult result, const char **name))                                                            \
    X(cuGetErrorString, (CUresult result, const char **text))

#define MEMBER_OF_THE_DRIVER(name, parameters) CUresult(*name) parameters;
typedef struct cuda_driver {
    FUNCTIONS_OF_THE_DRIVER(MEMBER_OF_THE_DRIVER)
    uint32_t version;
} cuda_driver;

/* The driver; to be used after cuda_open_driver alone. */
extern cuda_driver cuda;

typedef char cuda_message[512];
typedef char cuda_size[32];

/* Bytes for people: "512 B", "4.2 kB", "1.7 GB"; powers of 1000. */
void cuda_write_size(cuda_size text, uint64_t size);

/* Write a message; returns the status. */
int32_t cuda_fail(cuda_message message, int32_t status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The status of what the driver said; unless that is CUDA_SUCCESS, a message of what was being done then. */
int32_t cuda_check(cuda_message message, CUresult result, const char *doing);

/* Open the driver, once a process; a forked process gets none. Locked. */
int32_t cuda_open_driver(cuda_message message);

/* Whether this process was forked from one that had opened the driver: then nothing of it may be called. */
int cuda_is_forked(void);
int32_t cuda_fail_forked(cuda_message message);

/* One thread at a time opens and closes. */
void cuda_lock(void);
void cuda_unlock(void);

#endif
