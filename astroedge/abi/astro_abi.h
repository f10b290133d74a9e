/* The binary interface of a compiled step: what the library in a bundle exports and what a host passes to it.
 *
 *     const astro_info *astro_describe(void);     names, layouts, checks and golden trace, as constant data
 *     int32_t astro_step(astro_call *call);       one tick
 *     int32_t astro_run(astro_call *call);        call->steps ticks in native code
 *
 * and, unless a GPU computes the step, what reading the time takes (astro_call.stamps), and ticks of many streams at a time
 * (astro_streams), which threads of the host may share (astro_team):
 *
 *     int32_t astro_clock(uint64_t *stamps, uint64_t count);
 *     int32_t astro_run_streams(astro_streams *streams);                what astro_run does, for each of many streams
 *     int32_t astro_work_streams(astro_team *team, uint32_t index);     what a worker thread calls; returns when dismissed
 *     int32_t astro_dismiss(astro_team *team);                          tell the workers to return
 *
 * and, where the step is large enough for a single tick of it to be divided among threads:
 *
 *     int32_t astro_work(astro_team *team, uint32_t index);     what a worker thread of astro_call.team calls
 *
 * and, where `device` of astro_info is not "", because a GPU computes the step (see astro_opening):
 *
 *     int32_t astro_open_device(astro_opening *opening);        one stream's state and buffers on a GPU
 *     int32_t astro_read_device(...), astro_write_device(...)   its state as bytes
 *     const char *astro_device_message(const void *device);     what failed, in one line
 *     int32_t astro_close_device(void *device);                 free them
 *
 * A step works on five flat buffers that the host owns, each aligned to ASTRO_ALIGNMENT bytes and as large as the
 * matching `size` in astro_info: inputs, outputs, state, weights (read only) and workspace. Every field inside a buffer
 * starts at a multiple of ASTRO_ALIGNMENT and every size is one, so that records can follow each other. Numbers are
 * little-endian; bool is one byte, 0 or 1. A buffer of size 0 is never touched, but its pointer is checked.
 *
 * Before the first tick a host clears state, outputs and workspace to zero bytes and then writes each state field's
 * initial value. A copy of the state buffer is a complete snapshot of the stream. The workspace must be kept between
 * ticks only for its activity counters.
 *
 * Inputs are checked before anything is computed: a NaN or an index out of range returns an error and leaves the state
 * as it was; astro_run checks all ticks before the first. The floating-point mode (round to nearest, denormals kept,
 * no traps) is set on entry and restored on return, on x86-64 with the exception flags. The library has no global
 * state that a host sees: any number of threads may call it with different state, outputs and workspace (and different
 * teams or devices).
 */
#ifndef ASTRO_ABI_H
#define ASTRO_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASTRO_ABI_VERSION 1u
#define ASTRO_ALIGNMENT 64u
#define ASTRO_MAX_THREADS 64u
#define ASTRO_SPIKE_BITS 53u
#define ASTRO_MOST_VALUES 64u /* in the table of a draw */
#define ASTRO_LARGEST_BUFFER 1099511627776u /* bytes; what no device has is a lie or a mistake */
#define ASTRO_LARGEST_MANIFEST 67108864u    /* bytes of manifest.json */
#define ASTRO_LARGEST_TABLE 65536u          /* fields of a buffer, counters, golden ticks, assets */
#define ASTRO_LARGEST_RANK 64u              /* axes of a field */

enum astro_status {
    ASTRO_OK = 0,
    ASTRO_STOPPED = 1,      /* astro_run saw *stop != 0; steps_done ticks are complete */
    ASTRO_E_CALL = -1,      /* astro_call or its team is NULL, too small or wrong, or a pointer in it is NULL */
    ASTRO_E_ALIGNMENT = -2, /* a buffer or stride is not a multiple of ASTRO_ALIGNMENT */
    ASTRO_E_NAN = -3,       /* an input holds a NaN: see bad_input, bad_step, bad_element */
    ASTRO_E_RANGE = -4,     /* an index lies outside [low, high): see bad_input, bad_step, bad_element */
    ASTRO_E_STRIDE = -5,    /* a stride is smaller than one record, or steps times stride does not fit 64 bits */
    ASTRO_E_TICK = -6,      /* the compiled tick itself returned an error: not a fault of the caller */
    /* of a step that a GPU computes; each has a message (astro_opening, astro_device_message) */
    ASTRO_E_DEVICE = -7,        /* the driver or the GPU failed; an opened device can then only be closed */
    ASTRO_E_DRIVER = -8,        /* no driver is installed, or one that is too old */
    ASTRO_E_NO_DEVICE = -9,     /* the driver finds no GPU */
    ASTRO_E_ORDINAL = -10,      /* there is no GPU of that number */
    ASTRO_E_CAPABILITY = -11,   /* the GPU cannot run the step: of another kind than it was compiled for, or too old */
    ASTRO_E_DEVICE_MEMORY = -12, /* the step does not fit into the GPU's memory, or into what can be pinned of the host's */
    ASTRO_E_FORKED = -13        /* the device was opened by the process that this one was forked from */
};

enum astro_dtype {
    ASTRO_BOOL = 0,
    ASTRO_INT8 = 1,
    ASTRO_UINT8 = 2,
    ASTRO_INT32 = 3,
    ASTRO_INT64 = 4,
    ASTRO_FLOAT16 = 5,
    ASTRO_FLOAT32 = 6,
    ASTRO_INT16 = 7,
    ASTRO_UINT16 = 8,
    ASTRO_UINT32 = 9,
    ASTRO_UINT64 = 10,
    ASTRO_FLOAT64 = 11
};

enum astro_initial {
    ASTRO_INITIAL_FILL = 0,   /* every element has the bits `initial_bits` */
    ASTRO_INITIAL_WEIGHTS = 1 /* `nbytes` bytes at `initial_offset` of the weights buffer */
};

/* How the golden trace draws an element of an input from x, the next 64-bit output of splitmix64 (astro_golden). */
enum astro_draw {
    ASTRO_DRAW_INDEX = 0,  /* low + (((x >> 32) * (high - low)) >> 32) */
    ASTRO_DRAW_SPIKE = 1,  /* 1 if (x >> (64 - ASTRO_SPIKE_BITS)) < draw_parameter, else 0 */
    ASTRO_DRAW_UNIFORM = 2, /* float32: ((x >> 40) - 2^23) * 2^(draw_parameter - 23); float16: ((x >> 53) - 2^10) *
                             * 2^(draw_parameter - 10), draw_parameter from -14 to 15; float64: ((x >> 11) - 2^52) *
                             * 2^(draw_parameter - 52), from -970; all exact, in [-2^p, 2^p) */
    ASTRO_DRAW_VALUES = 3   /* the first of `values` with (x >> (64 - ASTRO_SPIKE_BITS)) < below */
};

/* A value that a draw may give. `below` ascends in a table and ends with 2^ASTRO_SPIKE_BITS. */
typedef struct astro_value {
    uint64_t below;
    uint64_t bits; /* of the element, zero-extended */
} astro_value;

typedef struct astro_field {
    const char *name;
    const int64_t *shape;
    uint32_t dtype; /* enum astro_dtype */
    uint32_t rank;
    uint64_t offset;
    uint64_t nbytes;
    /* inputs */
    uint32_t check_nan;   /* 1: a float input, refused when it holds a NaN */
    uint32_t check_range; /* 1: an integer or bool input, refused outside [low, high) */
    int64_t low;
    int64_t high;
    uint32_t draw; /* enum astro_draw */
    uint32_t initial; /* enum astro_initial, states only */
    int64_t draw_parameter;
    uint64_t value_count; /* 0 but for ASTRO_DRAW_VALUES */
    const astro_value *values;
    /* states */
    uint64_t initial_bits;
    uint64_t initial_offset;
} astro_field;

typedef struct astro_layout {
    uint64_t size;
    uint64_t count;
    const astro_field *fields;
} astro_layout;

/* A spike tensor whose active elements every tick adds to the uint64 at `offset` of the workspace. */
typedef struct astro_activity {
    const char *name;
    uint64_t size; /* elements of the tensor in one tick */
    uint64_t offset;
} astro_activity;

/* What a run on drawn inputs must give. The generator starts at `seed` and draws the inputs of a tick in layout order,
 * elements ascending. splitmix64: z = (seed += 0x9E3779B97F4A7C15); z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
 * z = (z ^ z >> 27) * 0x94D049BB133111EB; x = z ^ z >> 31. */
typedef struct astro_golden_tick {
    uint64_t tick;          /* ticks done since the reset */
    const char *state;      /* SHA-256 of the state buffer, 64 hexadecimal digits */
    const char *outputs;    /* SHA-256 of the outputs buffer of this tick */
} astro_golden_tick;

typedef struct astro_golden {
    uint64_t seed;
    uint64_t count;
    const astro_golden_tick *ticks;
} astro_golden;

typedef struct astro_info {
    uint64_t size; /* sizeof(astro_info) of the library */
    uint32_t abi_version;
    uint32_t alignment;
    const char *model;
    const char *target;
    const char *graph_sha256;
    const char *weights_sha256;
    const char *manifest_sha256; /* of manifest.json from its member "weights" on (docs/bundle-format.md) */
    const char *features; /* CPU flags the code needs, as in /proc/cpuinfo, separated by spaces */
    astro_layout inputs;
    astro_layout outputs;
    astro_layout state;
    uint64_t weights_size;
    uint64_t workspace_size;
    uint64_t activity_count;
    const astro_activity *activity;
    astro_golden golden;
    const char *device; /* "": the processor that loads the library computes a tick; "cuda": an NVIDIA GPU does */
    uint64_t stamps; /* that a timed tick writes (astro_call.stamps), at most INT32_MAX; 0: no tick can be timed */
} astro_info;

/* The threads that compute together, the ticks of one session (astro_call) or those of many (astro_streams): the one that
 * calls astro_step, astro_run or astro_run_streams, and `threads` - 1 workers. The result has the same bits for any number
 * of threads. The library starts none itself.
 *
 * The host allocates the team, aligned to ASTRO_ALIGNMENT, clears it to zero bytes, writes `size` and `threads`, starts
 * the workers, number i of which calls astro_work(team, i) for i from 1, or all of them astro_work_streams(team, i), and
 * passes the team in astro_call or in astro_streams. A worker waits for the next tick, at first by looking again and
 * again, then asleep until it is woken, so that an idle team costs nothing. To end: astro_dismiss, when no tick is being
 * computed; join the workers; only then free the team, or clear it for new workers. A team serves one call at a time. A
 * forked process has no workers: it needs a new team. */
typedef struct astro_team {
    uint64_t size;    /* sizeof(astro_team) of the host */
    uint32_t threads; /* 2 to ASTRO_MAX_THREADS */
    uint32_t unused[13];
    uint64_t internal[8 + 16 * ASTRO_MAX_THREADS];
} astro_team;

/* A step that a GPU computes. The driver is looked for when a device is opened, not when the library is loaded.
 *
 * State, weights and workspace lie in the GPU's memory: `state`, `weights` and `workspace` of astro_call are not used,
 * `device` says whose they are. A new device has state and workspace of zero bytes, so a host writes the initial state
 * first. astro_run computes many ticks a launch and reads *stop between launches, of which each is to take some 20 ms
 * at most. Streams of one GPU in one process share the weights there. A device serves one call at a time and only the
 * process that opened it. The context that is current in the calling thread is the same after a call. */
typedef struct astro_opening {
    uint64_t size;       /* sizeof(astro_opening) of the host */
    const void *weights; /* `weights_size` bytes, not needed any more after the call */
    uint32_t ordinal;    /* which GPU, from 0 as the driver counts them */
    uint32_t wanted_blocks; /* of the grid; 0: as many as the step gains by, and no more than run at once */
    /* results */
    void *device;   /* NULL after a failure */
    uint64_t memory; /* bytes in the GPU's memory, the weights among them, which streams share */
    uint32_t blocks;
    uint32_t capability; /* the GPU's compute capability times ten: 87 is 8.7 */
    uint32_t image;      /* the capability that the code in use was compiled for */
    uint32_t compiled;   /* 1: the driver compiled it from PTX, which takes its time at the first opening */
    uint32_t driver;     /* the CUDA version that the driver is for: 12060 is 12.6 */
    char name[128];      /* what the driver calls the GPU */
    char message[512];   /* one line; "" after success */
} astro_opening;

enum astro_memory {
    ASTRO_STATE = 0,
    ASTRO_WORKSPACE = 1 /* to read its activity counters */
};

typedef struct astro_call {
    uint64_t size; /* sizeof(astro_call) of the host; older hosts end before `team`, `steps_checked`, `device` or `stamps` */
    const void *inputs;
    void *outputs;
    void *state;
    const void *weights;
    void *workspace;
    /* astro_run only */
    uint64_t steps;
    uint64_t input_stride;  /* bytes from one tick's inputs to the next, a multiple of ASTRO_ALIGNMENT; 0: all alike */
    uint64_t output_stride; /* the same for outputs; 0 keeps only the last tick's */
    const int32_t *stop;    /* NULL, or a flag another thread or a signal handler sets; read before every tick */
    /* results */
    uint64_t steps_done;
    uint64_t bad_input;   /* index into astro_info.inputs.fields */
    uint64_t bad_step;    /* tick of this call, from 0 */
    uint64_t bad_element; /* flat index within the field */
    /* who computes; for libraries that export astro_work only, and not in astro_streams */
    astro_team *team; /* NULL: the caller alone */
    /* astro_run only: how many of `steps` an earlier call has checked, that stopped before their tick; 0 checks all */
    uint64_t steps_checked;
    /* for libraries that export astro_open_device only, which need it */
    void *device;
    uint64_t timed;        /* 1: astro_step tells device_seconds too, which takes it a little longer */
    double device_seconds; /* a result: how long the GPU computed, by its own clock */
    /* NULL, or room for astro_info.stamps numbers of each tick: what the processor's counter read when each kernel began
     * and, last, when the tick ended. Kernels come in the order of the manifest. The counter has a rate of its own, which
     * is the same at all times; astro_clock reads it `count` times as a timed tick does. Needs `team` NULL; the bits of
     * the tick are the same. */
    uint64_t *stamps;
} astro_call;

/* Runs of many streams of one step, each an astro_call of its own with its own state, outputs and workspace and without a
 * team. All calls are checked before the first tick, and where one is refused no stream changes. Each stream is computed by
 * one thread of the team, whichever is free, so that nobody waits for another within a tick; the bits are those of
 * astro_run. */
typedef struct astro_streams {
    uint64_t size;        /* sizeof(astro_streams) of the host */
    astro_call *calls;    /* `count` structures */
    uint64_t call_stride; /* bytes from one of them to the next, a multiple of 8 */
    int32_t *statuses;    /* a result: what astro_run would return for each, after ticks were made */
    uint64_t count;       /* at most INT32_MAX */
    astro_team *team;     /* NULL: the caller alone */
    uint64_t bad_stream;  /* a result: the call whose status is returned where that is less than 0 */
    uint64_t unused;
    uint32_t internal[16 * ASTRO_MAX_THREADS];
} astro_streams;

const astro_info *astro_describe(void);
int32_t astro_step(astro_call *call);
int32_t astro_run(astro_call *call);
int32_t astro_clock(uint64_t *stamps, uint64_t count);
int32_t astro_run_streams(astro_streams *streams);
int32_t astro_work_streams(astro_team *team, uint32_t index);
int32_t astro_work(astro_team *team, uint32_t index);
int32_t astro_dismiss(astro_team *team);
int32_t astro_open_device(astro_opening *opening);
int32_t astro_read_device(void *device, uint32_t memory, uint64_t offset, void *target, uint64_t size);
int32_t astro_write_device(void *device, const void *state); /* the state, whole */
const char *astro_device_message(const void *device);        /* of the last failure; "" before one */
int32_t astro_close_device(void *device);                    /* always frees; NULL is nothing */

#ifdef __cplusplus
}
#endif

#endif
