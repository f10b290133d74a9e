#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle_reader.h"
#include "gpu.h"
#include "library.h"
#include "processor.h"
#include "session.h"
#include "weights.h"

static int load_weights(astro_session *session, int folder, const file_record *record, int trust,
                        astro_failure *failure)
{
    if (record->size != session->info->weights_size || strcmp(record->sha256, session->info->weights_sha256) != 0)
        return astro_fail(failure, ASTRO_BAD_BUNDLE, "The library belongs to other weights; copy the bundle again.");
    session->call.weights = take_weights(folder, record, trust, failure);
    return session->call.weights ? 0 : failure->code;
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
        code = bind_library(session->library, &session->entries, failure);
    if (code == 0)
        code = describe_step(session, failure);
    if (code == 0)
        code = check_features(session->info->features, failure);
    if (code == 0 && strcmp(session->info->manifest_sha256, files->linked_sha256) != 0)
        code = of_another_manifest(failure);
    return code;
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

static void give_back(astro_session *session)
{
    release_weights(session->call.weights);
    release_library(session->library);
}

static int open_folder(astro_session *session, const char *folder, const wishes *wanted, astro_failure *failure)
{
    memset(session, 0, sizeof *session);
    session->give_back = give_back;
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
