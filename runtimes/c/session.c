#define _GNU_SOURCE
#include "astro.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle_reader.h"
#include "description.h"
#include "gpu.h"
#include "library.h"
#include "processor.h"
#include "threads.h"
#include "weights.h"

/* dlsym gives object pointers; POSIX promises that they hold functions. */
static void *entry(astro_session *session, const char *name)
{
    return dlsym(session->library, name);
}

static int bind_entries(astro_session *session, astro_failure *failure)
{
    const astro_info *(*describe)(void) = NULL;
    *(void **)&describe = entry(session, "astro_describe");
    *(void **)&session->step = entry(session, "astro_step");
    *(void **)&session->run = entry(session, "astro_run");
    *(void **)&session->work = entry(session, "astro_work");
    *(void **)&session->dismiss = entry(session, "astro_dismiss");
    if (!describe || !session->step || !session->run)
        return astro_fail(failure, ASTRO_BAD_BUNDLE, "The library lacks an entry; compile the graph again.");
    session->info = describe();
    /* An earlier library, of the time before GPUs, tells all but who computes. */
    const size_t size = offsetof(astro_info, device);
    if (session->info->size < size || session->info->abi_version != ASTRO_ABI_VERSION ||
        session->info->alignment != ASTRO_ALIGNMENT)
        return astro_fail(failure, ASTRO_INCOMPATIBLE,
                          "The library has binary interface %" PRIu32 " and %" PRIu64
                          " bytes to tell of itself, this host calls %u and reads %zu.",
                          session->info->abi_version, session->info->size, ASTRO_ABI_VERSION, size);
    if (check_description(session->info, failure))
        return failure->code;
    return check_features(session->info->features, failure);
}

/* A buffer of the C interface: aligned, never NULL, not yet cleared; NULL where it does not fit into memory. */
static void *allocate(uint64_t size)
{
    if (size > LARGEST_OBJECT)
        return NULL;
    return aligned_alloc(ASTRO_ALIGNMENT, size ? size : ASTRO_ALIGNMENT);
}

static int load_weights(astro_session *session, int folder, const file_record *record, int trust,
                        astro_failure *failure)
{
    if (record->size != session->info->weights_size || strcmp(record->sha256, session->info->weights_sha256) != 0)
        return astro_fail(failure, ASTRO_BAD_BUNDLE, "The library belongs to other weights; copy the bundle again.");
    session->call.weights = take_weights(folder, record, trust, failure);
    return session->call.weights ? 0 : failure->code;
}

/* Whether the step is computed by a GPU. */
static int is_on_gpu(const astro_session *session)
{
    const astro_info *info = session->info;
    return info->size >= offsetof(astro_info, stamps) && *info->device;
}

static int allocate_buffers(astro_session *session, astro_failure *failure)
{
    const astro_info *info = session->info;
    const int on_gpu = is_on_gpu(session);
    session->call.size = sizeof session->call;
    session->call.steps = 1;
    session->call.inputs = allocate(info->inputs.size);
    session->call.outputs = allocate(info->outputs.size);
    session->call.state = allocate(info->state.size);
    session->call.workspace = on_gpu ? NULL : allocate(info->workspace_size);
    if (!session->call.inputs || !session->call.outputs || !session->call.state || (!session->call.workspace && !on_gpu))
        return astro_fail(failure, ASTRO_INCOMPATIBLE, "The buffers of the step do not fit into memory.");
    memset((void *)(uintptr_t)session->call.inputs, 0, info->inputs.size);
    return 0;
}

static int of_another_manifest(astro_failure *failure)
{
    return astro_fail(failure, ASTRO_BAD_BUNDLE,
                      "The library was linked for another manifest.json; one of them was edited: copy the bundle again.");
}

/* Read the library, and load it when it is whole and was linked for this manifest. */
static int open_library(astro_session *session, int folder, const bundle_files *files, astro_failure *failure)
{
    uint64_t size = files->library.size;
    char *content = read_file(folder, files->library.name, &size, failure);
    if (content == NULL)
        return failure->code;
    int code = check_digest(content, &files->library, failure);
    /* Nothing of a library that belongs elsewhere is to run, so its description, which needs a call, comes second. */
    if (code == 0 && memmem(content, size, files->linked_sha256, strlen(files->linked_sha256)) == NULL)
        code = of_another_manifest(failure);
    if (code == 0 && (session->library = take_library(content, &files->library, failure)) == NULL)
        code = failure->code;
    free(content);
    if (code == 0)
        code = bind_entries(session, failure);
    if (code == 0 && strcmp(session->info->manifest_sha256, files->linked_sha256) != 0)
        code = of_another_manifest(failure);
    return code;
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

static void initialise_state(astro_session *session)
{
    const astro_info *info = session->info;
    uint8_t *state = session->call.state;
    memset(state, 0, info->state.size);
    for (uint64_t index = 0; index < info->state.count; index++)
        initialise(state + info->state.fields[index].offset, &info->state.fields[index], session->call.weights);
}

/* How a host wants a bundle to be opened; `ordinal` is NULL where it does not say. */
typedef struct wishes {
    int trust;
    const uint32_t *ordinal;
} wishes;

/* The stream's place on a GPU, after which the weights are there alone. */
static int open_device(astro_session *session, const uint32_t *ordinal, astro_failure *failure)
{
    if (!is_on_gpu(session) && ordinal)
        return astro_fail(failure, ASTRO_BAD_INPUT, "The bundle is compiled for %s, whose processor computes, not a GPU.",
                          session->info->target);
    if (!is_on_gpu(session))
        return 0;
    initialise_state(session);
    if (open_gpu(session, ordinal ? *ordinal : 0, failure))
        return failure->code;
    release_weights(session->call.weights);
    session->call.weights = NULL;
    return 0;
}

/* The checks come in the order that Python has, so that both refuse a bundle for the same reason. */
static int open_files(astro_session *session, int folder, const bundle_files *files, const wishes *wanted,
                      astro_failure *failure)
{
    if (check_sizes(folder, files, failure) || open_library(session, folder, files, failure) ||
        load_weights(session, folder, &files->weights, wanted->trust, failure) || allocate_buffers(session, failure) ||
        open_device(session, wanted->ordinal, failure))
        return failure->code;
    return check_assets(folder, files, failure);
}

static int open_session(astro_session *session, int folder, const wishes *wanted, astro_failure *failure)
{
    bundle_files files;
    int code = read_manifest(folder, &files, failure);
    if (code == 0)
        code = open_files(session, folder, &files, wanted, failure);
    free(files.assets);
    return code;
}

static int open_folder(astro_session *session, const char *folder, const wishes *wanted, astro_failure *failure)
{
    memset(session, 0, sizeof *session);
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return astro_fail(failure, ASTRO_BAD_BUNDLE, "%s is no bundle (%s).", folder, strerror(errno));
    int code = open_session(session, descriptor, wanted, failure);
    close(descriptor);
    if (code == 0)
        code = astro_reset(session, failure);
    if (code)
        astro_close(session);
    return code;
}

int astro_open(astro_session *session, const char *folder, astro_failure *failure)
{
    return open_folder(session, folder, &(const wishes){0, NULL}, failure);
}

int astro_open_on_gpu(astro_session *session, const char *folder, uint32_t ordinal, astro_failure *failure)
{
    return open_folder(session, folder, &(const wishes){0, &ordinal}, failure);
}

int astro_open_trusting_weights(astro_session *session, const char *folder, astro_failure *failure)
{
    return open_folder(session, folder, &(const wishes){1, NULL}, failure);
}

void astro_close(astro_session *session)
{
    end_team(session);
    close_gpu(session);
    release_weights(session->call.weights);
    free((void *)(uintptr_t)session->call.inputs);
    free(session->call.outputs);
    free(session->call.state);
    free(session->call.workspace);
    release_library(session->library);
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
    int32_t status = session->step(&session->call);
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
