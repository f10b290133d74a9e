#define _GNU_SOURCE
#include "threads.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A worker keeps its own pointers: a session may be moved. */
typedef struct worker {
    pthread_t thread;
    int32_t (*work)(astro_team *team, uint32_t index);
    astro_team *team;
    uint32_t index;
} worker;

struct astro_workers {
    uint32_t count;
    worker each[ASTRO_MAX_THREADS];
};

static void *work(void *argument)
{
    const worker *self = argument;
    self->work(self->team, self->index);
    return NULL;
}

static astro_team *new_team(uint32_t threads)
{
    const size_t size = (sizeof(astro_team) + ASTRO_ALIGNMENT - 1) / ASTRO_ALIGNMENT * ASTRO_ALIGNMENT;
    astro_team *team = aligned_alloc(ASTRO_ALIGNMENT, size);
    if (team) {
        memset(team, 0, sizeof *team);
        team->size = sizeof *team;
        team->threads = threads;
    }
    return team;
}

int astro_use_threads(astro_session *session, uint32_t threads, astro_failure *failure)
{
    if (threads < 1 || threads > ASTRO_MAX_THREADS)
        return astro_fail(failure, ASTRO_BAD_INPUT, "%" PRIu32 " threads are not between 1 and %u.", threads,
                          ASTRO_MAX_THREADS);
    if (threads > 1 && session->gpu)
        return astro_fail(failure, ASTRO_BAD_INPUT,
                          "%" PRIu32 " threads, but the ticks of '%s' are a GPU's; leave the threads out.", threads,
                          session->info->model);
    if (threads > 1 && (!session->entries.work || !session->entries.dismiss))
        return astro_fail(failure, ASTRO_BAD_INPUT, "The step is too small to be divided among threads.");
    end_team(session);
    if (threads == 1)
        return 0;
    struct astro_workers *workers = calloc(1, sizeof *workers);
    astro_team *team = new_team(threads);
    if (workers == NULL || team == NULL) {
        free(workers);
        free(team);
        return astro_fail(failure, ASTRO_FAILED, "The threads of the step do not fit into memory.");
    }
    session->workers = workers;
    session->call.team = team;
    while (workers->count < threads - 1) {
        worker *next = &workers->each[workers->count];
        next->work = session->entries.work;
        next->team = team;
        next->index = workers->count + 1;
        int error = pthread_create(&next->thread, NULL, work, next);
        if (error) {
            end_team(session);
            return astro_fail(failure, ASTRO_FAILED, "No more than %" PRIu32 " of %" PRIu32 " threads start (%s).",
                              next->index, threads, strerror(error));
        }
        workers->count++;
    }
    return 0;
}

void end_team(astro_session *session)
{
    if (session->workers == NULL)
        return;
    session->entries.dismiss(session->call.team);
    for (uint32_t index = 0; index < session->workers->count; index++)
        pthread_join(session->workers->each[index].thread, NULL);
    free(session->workers);
    free(session->call.team);
    session->workers = NULL;
    session->call.team = NULL;
}
