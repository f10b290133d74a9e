#define _GNU_SOURCE
#include "program.h"

#include <string.h>

#include "huge_pages.h"
#include "processor.h"
#include "sha256.h"

#define PIECE ((size_t)1 << 20)

int describe_program(astro_session *session, astro_failure *failure)
{
    memset(session, 0, sizeof *session);
    session->entries = astroedge_program_step.entries;
    return describe_step(session, failure);
}

static void give_back(astro_session *session)
{
    munmap((void *)(uintptr_t)session->call.weights, mapped_size((size_t)session->info->weights_size));
}

/* Weights in huge pages are read faster than those of the program's file, which the system may drop besides. Where there
 * is no memory for a copy, they are read where they are. */
static void copy_weights(astro_session *session)
{
    const size_t size = (size_t)session->info->weights_size;
    if (size < WEIGHTS_WORTH_HUGE_PAGES)
        return;
    void *copy = map_memory(size);
    if (copy == MAP_FAILED)
        return;
    for (size_t done = 0, count; done < size; done += count) {
        const uint8_t *piece = (const uint8_t *)session->call.weights + done;
        count = size - done < PIECE ? size - done : PIECE;
        memcpy((uint8_t *)copy + done, piece, count);
        madvise((void *)(uintptr_t)piece, count, MADV_DONTNEED); /* they would count twice */
    }
    mprotect(copy, mapped_size(size), PROT_READ);
    session->call.weights = copy;
    session->give_back = give_back;
}

static int check_weights(const astro_session *session, astro_failure *failure)
{
    char digest[65];
    sha256_of(session->call.weights, (size_t)session->info->weights_size, digest);
    if (strcmp(digest, session->info->weights_sha256) == 0)
        return 0;
    return astro_fail(failure, ASTRO_BAD_BUNDLE,
                      "The weights in this program do not match their digest; it is damaged: copy it again.");
}

int open_program(astro_session *session, astro_failure *failure)
{
    int code = describe_program(session, failure);
    if (code == 0)
        code = check_features(session->info->features, failure);
    if (code == 0) {
        session->call.weights = astroedge_program_step.weights;
        copy_weights(session);
        code = check_weights(session, failure);
    }
    if (code == 0)
        code = allocate_buffers(session, failure);
    if (code == 0)
        code = astro_reset(session, failure);
    if (code)
        astro_close(session);
    return code;
}
