#include "cuda_stream.h"

#include <string.h>

#include "checks.h"
#include "device_code.h"
#include "fp_mode.h"

#define MOST_TICKS 256u          /* of a launch */
#define FIRST_TICKS 16u          /* of the first launch of a run, before it is known how long a tick takes */
#define LAUNCH_SECONDS 0.02      /* that a launch may take, since nothing stops it */
#define LARGEST_RECORDS 1048576u /* bytes of the inputs, or outputs, of a launch, unless one tick has more */
#define LARGEST_MAPPED 2048u     /* bytes of a step that a block reads in the host's memory as soon as they are copied */
#define MOST_MAPPED 65536u       /* the same, read by every block of the grid */
#define CONTROL_SIZE 128u

/* --- memory ------------------------------------------------------------------------------------------------------------ */

static int32_t allocate(cuda_stream *stream, uint64_t size, CUdeviceptr *memory)
{
    const size_t room = cuda_room(size);
    int32_t status = cuda_check_memory(stream->gpu, stream->message, cuda.cuMemAlloc_v2(memory, room), room,
                                       " for a stream");
    if (status == ASTRO_OK)
        status = cuda_check(stream->message, cuda.cuMemsetD8Async(*memory, 0, room, stream->stream), "to clear memory");
    if (status == ASTRO_OK)
        stream->memory += room;
    return status;
}

/* The host's memory, of which a process may often pin less than there is. */
static int32_t check_pinned(cuda_stream *stream, CUresult result, size_t room)
{
    cuda_size needed;
    if (result != CUDA_ERROR_OUT_OF_MEMORY)
        return cuda_check(stream->message, result, "to allocate pinned host memory");
    cuda_write_size(needed, room);
    return cuda_fail(stream->message, ASTRO_E_DEVICE_MEMORY,
                     "The step needs %s more of pinned host memory, which this machine has not free; close what else uses "
                     "its memory, or give the container more.",
                     needed);
}

static int32_t allocate_pinned(cuda_stream *stream, uint64_t size, void **memory, CUdeviceptr *mapped)
{
    const size_t room = cuda_room(size);
    CUresult result = cuda.cuMemHostAlloc(memory, room, CU_MEMHOSTALLOC_DEVICEMAP);
    int32_t status = check_pinned(stream, result, room);
    if (status != ASTRO_OK)
        return status;
    memset(*memory, 0, room);
    return cuda_check(stream->message, cuda.cuMemHostGetDevicePointer_v2(mapped, *memory, 0), "to map memory");
}

/* How many records there is to be room for. */
static uint64_t count_records(void)
{
    uint64_t inputs = astroedge_info.inputs.size, outputs = astroedge_info.outputs.size;
    uint64_t larger = inputs > outputs ? inputs : outputs;
    uint64_t count = larger ? LARGEST_RECORDS / larger : MOST_TICKS;
    return count < 1 ? 1 : count > MOST_TICKS ? MOST_TICKS : count;
}

static int32_t allocate_records(cuda_stream *stream)
{
    uint64_t inputs = stream->records * astroedge_info.inputs.size;
    uint64_t outputs = stream->records * astroedge_info.outputs.size;
    void *memory = 0;
    int32_t status = allocate_pinned(stream, inputs, &memory, &stream->mapped_inputs);
    stream->host_inputs = memory;
    memory = 0;
    if (status == ASTRO_OK)
        status = allocate_pinned(stream, outputs, &memory, &stream->mapped_outputs);
    stream->host_outputs = memory;
    if (status == ASTRO_OK)
        status = allocate(stream, inputs, &stream->inputs);
    if (status == ASTRO_OK)
        status = allocate(stream, outputs, &stream->outputs);
    return status;
}

int32_t cuda_fill_stream(cuda_stream *stream, uint32_t wanted_blocks)
{
    uint32_t blocks = wanted_blocks ? wanted_blocks : astroedge_device_code.blocks;
    stream->blocks = blocks && blocks < stream->gpu->blocks ? blocks : stream->gpu->blocks;
    stream->records = count_records();
    int32_t status = cuda_check(stream->message, cuda.cuStreamCreate(&stream->stream, CU_STREAM_NON_BLOCKING),
                                "to make a stream");
    if (status == ASTRO_OK)
        status = cuda_check(stream->message, cuda.cuEventCreate(&stream->before, 0), "to make an event");
    if (status == ASTRO_OK)
        status = cuda_check(stream->message, cuda.cuEventCreate(&stream->after, 0), "to make an event");
    if (status == ASTRO_OK)
        status = allocate(stream, astroedge_info.state.size, &stream->state);
    if (status == ASTRO_OK)
        status = allocate(stream, astroedge_info.workspace_size, &stream->workspace);
    if (status == ASTRO_OK)
        status = allocate(stream, CONTROL_SIZE, &stream->control);
    if (status == ASTRO_OK)
        status = allocate_records(stream);
    if (status == ASTRO_OK)
        status = cuda_check(stream->message, cuda.cuStreamSynchronize(stream->stream), "to clear memory");
    return status;
}

void cuda_free_stream(cuda_stream *stream)
{
    const CUdeviceptr memory[] = {stream->state, stream->workspace, stream->control, stream->inputs, stream->outputs};
    void *const pinned[] = {stream->host_inputs, stream->host_outputs};
    if (stream->stream)
        cuda.cuStreamSynchronize(stream->stream);
    for (size_t index = 0; index < sizeof memory / sizeof *memory; index++)
        if (memory[index])
            cuda.cuMemFree_v2(memory[index]);
    for (size_t index = 0; index < sizeof pinned / sizeof *pinned; index++)
        if (pinned[index])
            cuda.cuMemFreeHost(pinned[index]);
    if (stream->before)
        cuda.cuEventDestroy_v2(stream->before);
    if (stream->after)
        cuda.cuEventDestroy_v2(stream->after);
    if (stream->stream)
        cuda.cuStreamDestroy_v2(stream->stream);
}

/* --- launches ----------------------------------------------------------------------------------------------------------- */

/* Ticks that one launch computes of records that follow each other; a stride of 0 is one record for all. */
typedef struct launch {
    uint64_t ticks, input_stride, output_stride;
    int timed;
} launch;

static uint64_t bytes_of(uint64_t size, uint64_t stride, uint64_t ticks)
{
    return stride ? size * ticks : size;
}

/* Whether records are copied between the host's memory and the GPU's own, rather than reached where they are. A copy in
 * the stream costs a step two to three microseconds. No GPU has a cache for pinned memory, one that shares the host's has
 * none either (NVIDIA, CUDA for Tegra), and every block may read all inputs, and outputs that others wrote. So what is
 * reached in place must be little for a block, which waits about a microsecond for each kilobyte over PCIe, and little for
 * all of them: 64 KiB take PCIe 4, or the memory of a small Jetson, two to three microseconds. */
static int copies(const cuda_stream *stream, const launch *what, uint64_t bytes)
{
    return bytes && (what->ticks > 1 || bytes > LARGEST_MAPPED || bytes * stream->blocks > MOST_MAPPED);
}

static CUresult start(cuda_stream *stream, const launch *what, CUdeviceptr inputs, CUdeviceptr outputs)
{
    int ticks = (int)what->ticks;
    unsigned long long input_stride = what->input_stride, output_stride = what->output_stride;
    void *arguments[] = {&inputs,          &outputs, &stream->state, &stream->gpu->weights, &stream->workspace,
                         &stream->control, &ticks,   &input_stride,  &output_stride};
    return cuda.cuLaunchCooperativeKernel(stream->gpu->function, stream->blocks, 1, 1, astroedge_device_code.block, 1, 1,
                                          0, stream->stream, arguments);
}

/* Queue everything of a launch: copies, events, the kernel. */
static CUresult queue(cuda_stream *stream, const launch *what)
{
    uint64_t in = bytes_of(astroedge_info.inputs.size, what->input_stride, what->ticks);
    uint64_t out = bytes_of(astroedge_info.outputs.size, what->output_stride, what->ticks);
    int copies_in = copies(stream, what, in), copies_out = copies(stream, what, out);
    CUresult result = CUDA_SUCCESS;
    if (copies_in)
        result = cuda.cuMemcpyHtoDAsync_v2(stream->inputs, stream->host_inputs, in, stream->stream);
    if (result == CUDA_SUCCESS && what->timed)
        result = cuda.cuEventRecord(stream->before, stream->stream);
    if (result == CUDA_SUCCESS)
        result = start(stream, what, copies_in ? stream->inputs : stream->mapped_inputs,
                       copies_out ? stream->outputs : stream->mapped_outputs);
    if (result == CUDA_SUCCESS && what->timed)
        result = cuda.cuEventRecord(stream->after, stream->stream);
    if (result == CUDA_SUCCESS && copies_out)
        result = cuda.cuMemcpyDtoHAsync_v2(stream->host_outputs, stream->outputs, out, stream->stream);
    return result;
}

/* After a failure nobody knows what the state is, and mostly the whole context is spoilt. */
static int32_t die(cuda_stream *stream, CUresult result, const char *doing)
{
    cuda_message reason;
    cuda_check(reason, result, doing);
    stream->is_dead = 1;
    __atomic_store_n(&stream->gpu->is_dead, 1, __ATOMIC_RELAXED);
    return cuda_fail(stream->message, ASTRO_E_DEVICE,
                     "%.300s The state on %.100s (GPU %u) is lost: close the session and load the bundle again.", reason,
                     stream->gpu->name, stream->gpu->ordinal);
}

/* Launch and wait. */
static int32_t compute(cuda_stream *stream, const launch *what)
{
    CUresult result = queue(stream, what);
    if (result != CUDA_SUCCESS)
        return die(stream, result, "to launch the step");
    result = cuda.cuStreamSynchronize(stream->stream);
    return result == CUDA_SUCCESS ? ASTRO_OK : die(stream, result, "in the step");
}

/* Add the time between the events to the call's; the floating-point mode is nobody's but the caller's. */
static int32_t add_time(cuda_stream *stream, astro_call *call, uint64_t ticks)
{
    float milliseconds = 0;
    CUresult result = cuda.cuEventElapsedTime(&milliseconds, stream->before, stream->after);
    if (result != CUDA_SUCCESS)
        return die(stream, result, "to tell the time");
    fp_mode mode_of_caller = read_fp_mode();
    write_fp_mode(FP_MODE_OF_A_STEP);
    double seconds = (double)milliseconds / 1000;
    stream->tick_seconds = seconds / (double)ticks;
    call->device_seconds += seconds;
    write_fp_mode(mode_of_caller);
    return ASTRO_OK;
}

int32_t cuda_step(cuda_stream *stream, astro_call *call)
{
    const launch what = {1, 0, 0, call->timed != 0};
    memcpy(stream->host_inputs, call->inputs, astroedge_info.inputs.size);
    int32_t status = compute(stream, &what);
    if (status != ASTRO_OK)
        return status;
    memcpy(call->outputs, stream->host_outputs, astroedge_info.outputs.size);
    call->steps_done = 1;
    return what.timed ? add_time(stream, call, 1) : ASTRO_OK;
}

/* How many ticks the next launch of a run has. */
static uint64_t choose_ticks(const cuda_stream *stream, uint64_t left)
{
    uint64_t most = stream->records;
    fp_mode mode_of_caller = read_fp_mode();
    write_fp_mode(FP_MODE_OF_A_STEP);
    double fitting = stream->tick_seconds > 0 ? LAUNCH_SECONDS / stream->tick_seconds : FIRST_TICKS;
    if (fitting < (double)most)
        most = fitting < 1 ? 1 : (uint64_t)fitting;
    write_fp_mode(mode_of_caller);
    return left < most ? left : most;
}

/* Copy records of a size between places with different strides. */
static void copy_records(uint8_t *to, uint64_t to_stride, const uint8_t *from, uint64_t from_stride, uint64_t size,
                         uint64_t count)
{
    if (to_stride == size && from_stride == size) {
        memcpy(to, from, size * count);
        return;
    }
    for (uint64_t index = 0; index < count; index++)
        memcpy(to + index * to_stride, from + index * from_stride, size);
}

static int32_t run_part(cuda_stream *stream, astro_call *call, uint64_t ticks)
{
    const uint64_t in = astroedge_info.inputs.size, out = astroedge_info.outputs.size;
    const launch what = {ticks, call->input_stride ? in : 0, call->output_stride ? out : 0, 1};
    const uint8_t *inputs = (const uint8_t *)call->inputs + call->steps_done * call->input_stride;
    uint8_t *outputs = (uint8_t *)call->outputs + call->steps_done * call->output_stride;
    copy_records(stream->host_inputs, in, inputs, call->input_stride, in, what.input_stride ? ticks : 1);
    int32_t status = compute(stream, &what);
    if (status != ASTRO_OK)
        return status;
    copy_records(outputs, call->output_stride, stream->host_outputs, out, out, what.output_stride ? ticks : 1);
    call->steps_done += ticks;
    return add_time(stream, call, ticks);
}

int32_t cuda_run(cuda_stream *stream, astro_call *call)
{
    int32_t status = ASTRO_OK;
    while (status == ASTRO_OK && call->steps_done < call->steps) {
        if (stop_asked(call->stop))
            return ASTRO_STOPPED;
        status = run_part(stream, call, choose_ticks(stream, call->steps - call->steps_done));
    }
    return status;
}
