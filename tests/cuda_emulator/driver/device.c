/* The driver itself, devices, contexts, and the names of errors. */
#include <stdio.h>
#include <string.h>

#include "fake_cuda.h"

#define MOST_DEVICES 8
#define MOST_PUSHED 16

static context contexts[MOST_DEVICES];

/* What is current in a thread of the host: the top of a stack. */
static _Thread_local struct {
    context *contexts[MOST_PUSHED];
    int depth; /* contexts[depth] is current; 0 is none unless set */
} pushed;

static long devices(void) {
    const long asked = setting("devices", 1);
    return asked > MOST_DEVICES ? MOST_DEVICES : asked;
}

API CUresult cuInit(unsigned flags) {
    CALL;
    if (flags) return INVALID_VALUE;
    if (devices() < 1) return NO_DEVICE;
    set_initialised();
    return SUCCESS;
}

API CUresult cuDriverGetVersion(int *version) {
    CALL;
    *version = (int)setting("driver", 12060);
    return SUCCESS;
}

API CUresult cuDeviceGetCount(int *count) {
    CALL;
    *count = (int)devices();
    return SUCCESS;
}

API CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    CALL;
    if (ordinal < 0 || ordinal >= devices()) return INVALID_DEVICE;
    *device = ordinal;
    return SUCCESS;
}

API CUresult cuDeviceGetName(char *name, int size, CUdevice device) {
    CALL;
    char given[128];
    if (device < 0 || device >= devices()) return INVALID_DEVICE;
    if (size < 1) return INVALID_VALUE;
    snprintf(name, (size_t)size, "%s", text_setting("name", given, sizeof given) ? given : "Emulated GPU");
    return SUCCESS;
}

API CUresult cuDeviceTotalMem_v2(size_t *size, CUdevice device) {
    CALL;
    if (device < 0 || device >= devices()) return INVALID_DEVICE;
    *size = (size_t)setting("memory", 4096) << 20;
    return SUCCESS;
}

API CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device) {
    CALL;
    if (device < 0 || device >= devices()) return INVALID_DEVICE;
    switch (attribute) {
        case 1: *value = 1024; return SUCCESS;                             /* threads a block */
        case 8: *value = 48 * 1024; return SUCCESS;                        /* shared memory a block */
        case 10: *value = 32; return SUCCESS;                              /* threads a warp */
        case 12: *value = 65536; return SUCCESS;                           /* registers a block */
        case 16: *value = (int)setting("sms", 2); return SUCCESS;          /* multiprocessors */
        case 18: *value = (int)setting("integrated", 0); return SUCCESS;   /* memory is the host's */
        case 19: *value = 1; return SUCCESS;                               /* maps the host's memory */
        case 36: *value = 2000000; return SUCCESS;                         /* memory clock, kHz */
        case 37: *value = 128; return SUCCESS;                             /* memory bus, bits */
        case 39: *value = 2048; return SUCCESS;                            /* threads a multiprocessor */
        case 41: *value = 1; return SUCCESS;                               /* unified addresses */
        case 75: *value = (int)setting("cc", 87) / 10; return SUCCESS;     /* compute capability */
        case 76: *value = (int)setting("cc", 87) % 10; return SUCCESS;
        case 95: *value = (int)setting("cooperative", 1); return SUCCESS;  /* cooperative launches */
        default: break;
    }
    fprintf(stderr, "fake libcuda: it does not know the attribute %d of a device\n", attribute);
    return INVALID_VALUE;
}

context *current_context(void) { return pushed.contexts[pushed.depth]; }

CUresult context_state(void) {
    const context *current = current_context();
    return current && current->retained ? current->broken : INVALID_CONTEXT;
}

API CUresult cuDevicePrimaryCtxRetain(context **handle, CUdevice device) {
    CALL;
    if (device < 0 || device >= devices()) return INVALID_DEVICE;
    *handle = &contexts[device];
    if (!(*handle)->retained++) (*handle)->device = device, (*handle)->broken = SUCCESS;
    return SUCCESS;
}

API CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    CALL;
    if (device < 0 || device >= devices()) return INVALID_DEVICE;
    if (!contexts[device].retained) return INVALID_CONTEXT;
    if (!--contexts[device].retained) {
        forget_streams(&contexts[device]);
        free_all(&contexts[device]);
    }
    return SUCCESS;
}

API CUresult cuCtxSetCurrent(context *handle) {
    CALL;
    if (handle && !handle->retained) return INVALID_CONTEXT;
    pushed.contexts[pushed.depth] = handle;
    return SUCCESS;
}

API CUresult cuCtxPushCurrent_v2(context *handle) {
    CALL;
    if (!handle || !handle->retained || pushed.depth + 1 == MOST_PUSHED) return INVALID_CONTEXT;
    pushed.contexts[++pushed.depth] = handle;
    return SUCCESS;
}

API CUresult cuCtxPopCurrent_v2(context **handle) {
    CALL;
    if (!current_context()) return INVALID_CONTEXT;
    if (handle) *handle = current_context();
    pushed.contexts[pushed.depth] = NULL;
    if (pushed.depth) pushed.depth--;
    return SUCCESS;
}

static const struct {
    CUresult error;
    const char *name, *meaning;
} errors[] = {
    {SUCCESS, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {INVALID_PTX, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {UNSUPPORTED_PTX_VERSION, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
     "the provided PTX was compiled with an unsupported toolchain."},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {COOPERATIVE_LAUNCH_TOO_LARGE, "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE", "too many blocks in cooperative launch"},
    {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {999, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

static CUresult find_error(CUresult error, const char **text, int meaning) {
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (errors[i].error == error) return *text = meaning ? errors[i].meaning : errors[i].name, SUCCESS;
    *text = NULL; /* as the real one does */
    return INVALID_VALUE;
}

/* Good also before cuInit and after a fork, and never made to fail: they are how errors are told. */
API CUresult cuGetErrorName(CUresult error, const char **name) { return find_error(error, name, 0); }
API CUresult cuGetErrorString(CUresult error, const char **meaning) { return find_error(error, meaning, 1); }
