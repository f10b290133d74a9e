/* A libcuda.so.1 for tests: the driver calls that AstroEdge makes, done by the CPU.
 *
 * Stricter than a GPU where a GPU would let a mistake pass: the host cannot touch device memory, fresh memory holds no
 * zeros, an access behind the end of an allocation ends the process, pinned memory has other addresses on the device
 * than on the host, and work on a stream is done when somebody waits for it and not before. */
#ifndef FAKE_CUDA_H
#define FAKE_CUDA_H
#include <stddef.h>
#include <stdint.h>

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;

enum {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201,
    NO_BINARY_FOR_GPU = 209,
    INVALID_PTX = 218,
    UNSUPPORTED_PTX_VERSION = 222,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600,
    ILLEGAL_ADDRESS = 700,
    LAUNCH_FAILED = 719,
    COOPERATIVE_LAUNCH_TOO_LARGE = 720,
    NOT_SUPPORTED = 801,
};

#define API __attribute__((visibility("default")))

/* settings.c: what FAKE_CUDA says, and what is true of every call. */
long setting(const char *name, long otherwise);                       /* a number; "cc=8.7" is 87 */
const char *text_setting(const char *name, char *to, size_t size);    /* a word, or NULL */
CUresult begin_call(const char *name);
void end_call(const int *unused);
void note(const char *format, ...) __attribute__((format(printf, 1, 2))); /* a line of the log */
void set_initialised(void);

/* The first line of every call: one call at a time, counted, and refused where the settings say so. */
#define CALL                                                                                                           \
    __attribute__((cleanup(end_call))) const int call_ = 0;                                                            \
    (void)call_;                                                                                                       \
    do {                                                                                                               \
        const CUresult refused_ = begin_call(__func__);                                                                \
        if (refused_) return refused_;                                                                                 \
    } while (0)

/* The same for a call that needs a current context; an error of a kernel stays with its context for ever. */
#define CALL_IN_CONTEXT                                                                                                \
    CALL;                                                                                                              \
    do {                                                                                                               \
        const CUresult state_ = context_state();                                                                       \
        if (state_) return state_;                                                                                     \
    } while (0)

/* device.c */
typedef struct {
    CUdevice device;
    int retained;
    CUresult broken;
} context;
context *current_context(void);
CUresult context_state(void);

/* memory.c */
void open_device(void); /* let this process touch device memory, until close_device; may be nested */
void close_device(void);
int on_device(CUdeviceptr at, size_t size);
void free_all(const context *of);
void name_regions(void (*give)(const void *at, size_t size, const char *name));

/* streams.c */
typedef struct work {
    struct work *next;
    CUresult (*run)(struct work *); /* it is freed behind it */
} work;
typedef struct stream {
    struct stream *next;
    context *of;
    int blocking; /* the calls that are not asynchronous wait for it */
    work *first, *last;
} stream;
CUresult submit(void *handle, work *what);  /* takes `what`, also where it fails */
CUresult wait_for_all(int also_not_blocking);
void forget_streams(const context *of);
#endif
