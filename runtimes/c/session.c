#define _GNU_SOURCE
#include "session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "description.h"
#include "gpu.h"
#include "huge_pages.h"
#include "threads.h"

int describe_step(astro_session *session, astro_failure *failure)
{
    session->info = session->entries.describe();
    /* An earlier library, of the time before GPUs, tells all but who computes. */
    const size_t size = offsetof(astro_info, device);
    if (session->info->size < size || session->info->abi_version != ASTRO_ABI_VERSION ||
        session->info->alignment != ASTRO_ALIGNMENT)
        return astro_fail(failure, ASTRO_INCOMPATIBLE,
                          "The library has binary interface %" PRIu32 " and %" PRIu64
                          " bytes to tell of itself, this host calls %u and reads %zu.",
                          session->info->abi_version, session->info->size, ASTRO_ABI_VERSION, size);
    return check_description(session->info, failure);
}

/* A buffer of the C interface: aligned, never NULL, not yet cleared; NULL where it does not fit into memory. */
static void *allocate(uint64_t size)
{
    if (size > LARGEST_OBJECT)
        return NULL;
    return aligned_alloc(ASTRO_ALIGNMENT, size ? size : ASTRO_ALIGNMENT);
}

/* The same for a state. */
static void *allocate_state(uint64_t size)
{
    if (size < STATE_WORTH_HUGE_PAGES || size > LARGEST_OBJECT - HUGE_PAGE)
        return allocate(size);
    void *state = aligned_alloc(HUGE_PAGE, in_huge_pages((size_t)size));
    if (state)
        madvise(state, in_huge_pages((size_t)size), MADV_HUGEPAGE); /* a kernel without huge pages refuses: all the same */
    return state;
}

int is_on_gpu(const astro_session *session)
{
    const astro_info *info = session->info;
    return info->size >= offsetof(astro_info, stamps) && *info->device;
}

int allocate_buffers(astro_session *session, astro_failure *failure)
{
    const astro_info *info = session->info;
    const int on_gpu = is_on_gpu(session);
    session->call.size = sizeof session->call;
    session->call.steps = 1;
    session->call.inputs = allocate(info->inputs.size);
    session->call.outputs = allocate(info->outputs.size);
    session->call.state = allocate_state(info->state.size);
    session->call.workspace = on_gpu ? NULL : allocate(info->workspace_size);
    if (!session->call.inputs || !session->call.outputs || !session->call.state || (!session->call.workspace && !on_gpu))
        return astro_fail(failure, ASTRO_INCOMPATIBLE, "The buffers of the step do not fit into memory.");
    memset((void *)(uintptr_t)session->call.inputs, 0, info->inputs.size);
    return 0;
}

static void initialise(uint8_t *target, const astro_field *field, const uint8_t *weights)
{
    if (field->initial == ASTRO_INITIAL_WEIGHTS) {
        memcpy(target, weights + field->initial_offset, field->nbytes);
        return;
    }
    for (uint64_t byte = 0, size = item_size(field->dtype); byte < field->nbytes; byte += size)
        memcpy(target + byte, &field->initial_bits, size);
}

void initialise_state(astro_session *session)
{
    const astro_info *info = session->info;
    uint8_t *state = session->call.state;
    memset(state, 0, info->state.size);
    for (uint64_t index = 0; index < info->state.count; index++)
        initialise(state + info->state.fields[index].offset, &info->state.fields[index], session->call.weights);
}

void astro_close(astro_session *session)
{
    end_team(session);
    close_gpu(session);
    free((void *)(uintptr_t)session->call.inputs);
    free(session->call.outputs);
    free(session->call.state);
    free(session->call.workspace);
    if (session->give_back)
        session->give_back(session);
    memset(session, 0, sizeof *session);
}

int astro_reset(astro_session *session, astro_failure *failure)
{
    memset(session->call.outputs, 0, session->info->outputs.size);
    session->ticks = 0;
    if (session->gpu)
        return reset_gpu(session, failure);
    memset(session->call.workspace, 0, session->info->workspace_size);
    initialise_state(session);
    return 0;
}

static const astro_field *find(const astro_layout *layout, const char *name)
{
    for (uint64_t index = 0; index < layout->count; index++)
        if (strcmp(layout->fields[index].name, name) == 0)
            return &layout->fields[index];
    return NULL;
}

void *astro_input(astro_session *session, const char *name)
{
    const astro_field *field = find(&session->info->inputs, name);
    return field ? (uint8_t *)(uintptr_t)session->call.inputs + field->offset : NULL;
}

const void *astro_output(const astro_session *session, const char *name)
{
    const astro_field *field = find(&session->info->outputs, name);
    return field ? (const uint8_t *)session->call.outputs + field->offset : NULL;
}

int astro_tick(astro_session *session, astro_failure *failure)
{
    const astro_call *call = &session->call;
    int32_t status = session->entries.step(&session->call);
    if (status == ASTRO_OK) {
        session->ticks++;
        return 0;
    }
    if (session->gpu && status <= ASTRO_E_DEVICE)
        return fail_as_gpu(session, status, failure);
    if (status != ASTRO_E_NAN && status != ASTRO_E_RANGE)
        return astro_fail(failure, ASTRO_FAILED, "The compiled step failed with status %" PRId32 ".", status);
    if (call->bad_input >= session->info->inputs.count)
        return astro_fail(failure, ASTRO_FAILED, "The compiled step names an input that it does not have.");
    const astro_field *field = &session->info->inputs.fields[call->bad_input];
    if (status == ASTRO_E_NAN)
        return astro_fail(failure, ASTRO_BAD_INPUT, "Element %" PRIu64 " of input %s is a NaN.", call->bad_element,
                          field->name);
    return astro_fail(failure, ASTRO_BAD_INPUT,
                      "Element %" PRIu64 " of input %s must be from %" PRId64 " to %" PRId64 ".", call->bad_element,
                      field->name, field->low, field->high - 1);
}
