#define _GNU_SOURCE
#include "gpu.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The library's entries for a device (astro_abi.h), and the state before the first tick. */
struct astro_gpu {
    int32_t (*open)(astro_opening *opening);
    int32_t (*read)(void *device, uint32_t memory, uint64_t offset, void *target, uint64_t size);
    int32_t (*write)(void *device, const void *state);
    const char *(*message)(const void *device);
    int32_t (*close)(void *device);
    uint8_t *initial;
};

static int code_of(int32_t status)
{
    switch (status) {
    case ASTRO_E_ORDINAL:
        return ASTRO_BAD_INPUT;
    case ASTRO_E_DRIVER:
    case ASTRO_E_NO_DEVICE:
    case ASTRO_E_CAPABILITY:
    case ASTRO_E_DEVICE_MEMORY:
        return ASTRO_INCOMPATIBLE;
    default:
        return ASTRO_FAILED;
    }
}

int fail_as_gpu(const astro_session *session, int32_t status, astro_failure *failure)
{
    const char *message = session->gpu->message(session->call.device);
    if (*message == 0)
        return astro_fail(failure, ASTRO_FAILED, "The compiled step failed with status %" PRId32 ".", status);
    return astro_fail(failure, code_of(status), "%s", message);
}

static int bind_gpu(astro_session *session, astro_failure *failure)
{
    struct astro_gpu *gpu = session->gpu;
    /* dlsym gives object pointers; POSIX promises that they hold functions. */
    *(void **)&gpu->open = dlsym(session->library, "astro_open_device");
    *(void **)&gpu->read = dlsym(session->library, "astro_read_device");
    *(void **)&gpu->write = dlsym(session->library, "astro_write_device");
    *(void **)&gpu->message = dlsym(session->library, "astro_device_message");
    *(void **)&gpu->close = dlsym(session->library, "astro_close_device");
    if (!gpu->open || !gpu->read || !gpu->write || !gpu->message || !gpu->close)
        return astro_fail(failure, ASTRO_BAD_BUNDLE, "The library lacks an entry; compile the graph again.");
    return 0;
}

static int keep_initial_state(astro_session *session, astro_failure *failure)
{
    const uint64_t size = session->info->state.size;
    session->gpu->initial = malloc(size ? size : 1);
    if (session->gpu->initial == NULL)
        return astro_fail(failure, ASTRO_INCOMPATIBLE, "The buffers of the step do not fit into memory.");
    memcpy(session->gpu->initial, session->call.state, size);
    return 0;
}

int open_gpu(astro_session *session, uint32_t ordinal, astro_failure *failure)
{
    session->gpu = calloc(1, sizeof *session->gpu);
    if (session->gpu == NULL)
        return astro_fail(failure, ASTRO_INCOMPATIBLE, "The buffers of the step do not fit into memory.");
    if (bind_gpu(session, failure) || keep_initial_state(session, failure))
        return failure->code;
    astro_opening opening;
    memset(&opening, 0, sizeof opening);
    opening.size = sizeof opening;
    opening.weights = session->call.weights;
    opening.ordinal = ordinal;
    int32_t status = session->gpu->open(&opening);
    if (status != ASTRO_OK)
        return astro_fail(failure, code_of(status), "%s", opening.message);
    session->call.device = opening.device;
    return 0;
}

void close_gpu(astro_session *session)
{
    if (session->gpu == NULL)
        return;
    if (session->call.device)
        session->gpu->close(session->call.device);
    free(session->gpu->initial);
    free(session->gpu);
}

int reset_gpu(astro_session *session, astro_failure *failure)
{
    memcpy(session->call.state, session->gpu->initial, session->info->state.size);
    return astro_set_state(session, failure);
}

int astro_get_state(astro_session *session, astro_failure *failure)
{
    if (session->gpu == NULL)
        return 0;
    const uint64_t size = session->info->state.size;
    int32_t status = session->gpu->read(session->call.device, ASTRO_STATE, 0, session->call.state, size);
    return status == ASTRO_OK ? 0 : fail_as_gpu(session, status, failure);
}

int astro_set_state(astro_session *session, astro_failure *failure)
{
    if (session->gpu == NULL)
        return 0;
    int32_t status = session->gpu->write(session->call.device, session->call.state);
    return status == ASTRO_OK ? 0 : fail_as_gpu(session, status, failure);
}
