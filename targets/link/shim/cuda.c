/* The entries of a step that a GPU computes (astro_abi.h).
 *
 * Checks of a call are those of a step on a processor (checks.c). The library is an ordinary one for the host's
 * processor. Unlike others it calls the C library: dlopen for libcuda.so.1, whose own need of glibc it shares, and what
 * belongs to that (memory, messages, getpid). What changes here is the driver's table of functions and the list of GPUs
 * in use, both behind one lock.
 */
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "cuda_stream.h"
#include "device_code.h"

EXPORTED const astro_info *astro_describe(void)
{
    return &astroedge_info;
}

/* --- opening and closing -------------------------------------------------------------------------------------------------- */

static void describe(astro_opening *opening, const cuda_stream *stream)
{
    const cuda_gpu *gpu = stream->gpu;
    opening->memory = stream->memory + cuda_room(astroedge_info.weights_size);
    opening->blocks = stream->blocks;
    opening->capability = gpu->capability;
    opening->image = gpu->image;
    opening->compiled = gpu->compiled;
    opening->driver = cuda.version;
    memcpy(opening->name, gpu->name, sizeof opening->name);
}

/* Everything of a stream; what has been made is freed by close_stream, after a failure too. */
static int32_t open_stream(cuda_stream *stream, const astro_opening *opening)
{
    cuda_lock();
    int32_t status = cuda_open_driver(stream->message);
    if (status == ASTRO_OK)
        status = cuda_take_gpu(opening->ordinal, opening->weights, &stream->gpu, stream->message);
    cuda_unlock();
    if (status == ASTRO_OK)
        status = cuda_enter(stream->gpu, stream->message);
    if (status != ASTRO_OK)
        return status;
    status = cuda_fill_stream(stream, opening->wanted_blocks);
    cuda_leave();
    return status;
}

static void close_stream(cuda_stream *stream)
{
    cuda_message unheard;
    if (stream->gpu && !cuda_is_forked()) {
        if (cuda_enter(stream->gpu, unheard) == ASTRO_OK) {
            cuda_free_stream(stream);
            cuda_leave();
        }
        cuda_lock();
        cuda_release_gpu(stream->gpu);
        cuda_unlock();
    }
    free(stream);
}

EXPORTED int32_t astro_open_device(astro_opening *opening)
{
    if (opening == 0 || opening->size < sizeof *opening)
        return ASTRO_E_CALL;
    memset((uint8_t *)opening + offsetof(astro_opening, device), 0, sizeof *opening - offsetof(astro_opening, device));
    if (opening->weights == 0)
        return cuda_fail(opening->message, ASTRO_E_CALL, "The weights are NULL.");
    if (cuda_is_forked())
        return cuda_fail_forked(opening->message);
    cuda_stream *stream = calloc(1, sizeof *stream);
    if (stream == 0)
        return cuda_fail(opening->message, ASTRO_E_DEVICE_MEMORY, "This machine has no memory left.");
    int32_t status = open_stream(stream, opening);
    if (status == ASTRO_OK) {
        describe(opening, stream);
        opening->device = stream;
    } else {
        memcpy(opening->message, stream->message, sizeof opening->message);
        close_stream(stream);
    }
    return status;
}

EXPORTED int32_t astro_close_device(void *device)
{
    if (device)
        close_stream(device);
    return ASTRO_OK;
}

EXPORTED const char *astro_device_message(const void *device)
{
    return device ? ((const cuda_stream *)device)->message : "";
}

/* --- calls ------------------------------------------------------------------------------------------------------------------ */

/* Make a stream ready for the driver's calls: cuda_leave after ASTRO_OK. */
static int32_t enter(cuda_stream *stream)
{
    if (cuda_is_forked())
        return cuda_fail_forked(stream->message);
    return stream->is_dead ? ASTRO_E_DEVICE : cuda_enter(stream->gpu, stream->message);
}

EXPORTED int32_t astro_read_device(void *device, uint32_t memory, uint64_t offset, void *target, uint64_t size)
{
    cuda_stream *stream = device;
    const uint64_t whole = memory == ASTRO_STATE ? astroedge_info.state.size : astroedge_info.workspace_size;
    if (device == 0 || target == 0 || memory > ASTRO_WORKSPACE || offset > whole || size > whole - offset)
        return ASTRO_E_CALL;
    int32_t status = enter(stream);
    if (status != ASTRO_OK)
        return status;
    CUdeviceptr source = (memory == ASTRO_STATE ? stream->state : stream->workspace) + offset;
    if (size)
        status = cuda_check(stream->message, cuda.cuMemcpyDtoH_v2(target, source, size), "to give the state");
    stream->is_dead = status != ASTRO_OK;
    cuda_leave();
    return status;
}

/* On the stream of the launches, and waited for: a plain copy from memory that is not pinned returns while it is on its way,
 * and no stream of ours would wait for it. */
static int32_t cuda_take_state(cuda_stream *stream, const void *state, uint64_t size)
{
    CUresult result = cuda.cuMemcpyHtoDAsync_v2(stream->state, state, size, stream->stream);
    if (result == CUDA_SUCCESS)
        result = cuda.cuStreamSynchronize(stream->stream);
    return cuda_check(stream->message, result, "to take the state");
}

EXPORTED int32_t astro_write_device(void *device, const void *state)
{
    cuda_stream *stream = device;
    const uint64_t size = astroedge_info.state.size;
    if (device == 0 || state == 0)
        return ASTRO_E_CALL;
    int32_t status = enter(stream);
    if (status != ASTRO_OK)
        return status;
    if (size)
        status = cuda_take_state(stream, state, size);
    stream->is_dead = status != ASTRO_OK;
    cuda_leave();
    return status;
}

/* The structure and the two buffers that a step uses; nothing of it is for a team. */
static int32_t check_call(astro_call *call)
{
    int32_t status = start_call(call);
    if (status != ASTRO_OK)
        return status;
    if (device_of(call) == 0 || team_of(call) || stamps_of(call) || !call->inputs || !call->outputs)
        return ASTRO_E_CALL;
    call->device_seconds = 0;
    if (!is_aligned((uintptr_t)call->inputs) || !is_aligned((uintptr_t)call->outputs))
        return ASTRO_E_ALIGNMENT;
    return ASTRO_OK;
}

EXPORTED int32_t astro_step(astro_call *call)
{
    int32_t status = check_call(call);
    if (status == ASTRO_OK)
        status = astroedge_check_step(call);
    if (status == ASTRO_OK)
        status = enter(call->device);
    if (status != ASTRO_OK)
        return status;
    status = cuda_step(call->device, call);
    cuda_leave();
    return status;
}

EXPORTED int32_t astro_run(astro_call *call)
{
    int32_t status = check_call(call);
    if (status == ASTRO_OK)
        status = astroedge_check_run(call);
    if (status == ASTRO_OK)
        status = enter(call->device);
    if (status != ASTRO_OK)
        return status;
    status = cuda_run(call->device, call);
    cuda_leave();
    return status;
}
