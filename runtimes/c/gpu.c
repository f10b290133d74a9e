#include "gpu.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The state before the first tick. */
struct astro_gpu {
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
    const char *message = session->entries.device_message(session->call.device);
    if (*message == 0)
        return astro_fail(failure, ASTRO_FAILED, "The compiled step failed with status %" PRId32 ".", status);
    return astro_fail(failure, code_of(status), "%s", message);
}

static int has_entries(const astro_entries *entries)
{
    return entries->open_device && entries->read_device && entries->write_device && entries->device_message &&
           entries->close_device;
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
    if (!has_entries(&session->entries))
        return astro_fail(failure, ASTRO_BAD_BUNDLE, "The library lacks an entry; compile the graph again.");
    session->gpu = calloc(1, sizeof *session->gpu);
    if (session->gpu == NULL)
        return astro_fail(failure, ASTRO_INCOMPATIBLE, "The buffers of the step do not fit into memory.");
    if (keep_initial_state(session, failure))
        return failure->code;
    astro_opening opening;
    memset(&opening, 0, sizeof opening);
    opening.size = sizeof opening;
    opening.weights = session->call.weights;
    opening.ordinal = ordinal;
    int32_t status = session->entries.open_device(&opening);
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
        session->entries.close_device(session->call.device);
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
    int32_t status = session->entries.read_device(session->call.device, ASTRO_STATE, 0, session->call.state, size);
    return status == ASTRO_OK ? 0 : fail_as_gpu(session, status, failure);
}

int astro_set_state(astro_session *session, astro_failure *failure)
{
    if (session->gpu == NULL)
        return 0;
    int32_t status = session->entries.write_device(session->call.device, session->call.state);
    return status == ASTRO_OK ? 0 : fail_as_gpu(session, status, failure);
}
