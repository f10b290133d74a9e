/* Ticks of many streams of one step, whole streams to each thread of a team (astro_abi.h).
 *
 * Streams share nothing that is written, so within a tick nobody waits. Each thread begins with a share of its own, which
 * is the same at every call, so that the states it works on are in its processor's caches; then it helps with what others
 * have left.
 */
#include "checks.h"
#include "shim.h"
#include "team.h"

#include <stddef.h>

/* Words of `internal` from one thread's count of streams taken to the next one's: a cache line. */
#define SEAT 16u

_Static_assert(sizeof(((astro_streams *)0)->internal) == 4 * SEAT * ASTRO_MAX_THREADS, "seats do not fit");

static astro_call *call_at(const astro_streams *streams, uint64_t stream)
{
    return (astro_call *)(void *)((uint8_t *)streams->calls + stream * streams->call_stride);
}

static uint32_t thread_count(const astro_streams *streams)
{
    return streams->team ? streams->team->threads : 1;
}

static int are_right(const astro_streams *streams)
{
    if (streams == 0 || streams->size < sizeof *streams || !streams->calls || !streams->statuses)
        return 0;
    if (streams->call_stride < offsetof(astro_call, team) || streams->call_stride % sizeof(uint64_t))
        return 0;
    return streams->count <= INT32_MAX && (streams->team == 0 || astroedge_is_team(streams->team));
}

/* A call that names a team of its own would have it serve two threads. */
static int32_t check(astro_call *call)
{
    if (call->size >= offsetof(astro_call, steps_checked) && call->team)
        return ASTRO_E_CALL;
    return astroedge_check(call);
}

static void compute_share(astro_streams *streams, uint32_t share, uint32_t threads)
{
    uint64_t first = streams->count * share / threads, end = streams->count * (share + 1) / threads;
    uint32_t *taken = &streams->internal[SEAT * share];
    for (;;) {
        uint64_t stream = first + __atomic_fetch_add(taken, 1, __ATOMIC_RELAXED);
        if (stream >= end)
            return;
        streams->statuses[stream] = astroedge_compute(call_at(streams, stream));
    }
}

static void compute_streams(astro_streams *streams, uint32_t thread)
{
    uint32_t threads = thread_count(streams);
    for (uint32_t turn = 0; turn < threads; turn++)
        compute_share(streams, (thread + turn) % threads, threads);
}

/* The status of the first stream that failed, else that of any that was stopped. */
static int32_t first_failure(astro_streams *streams)
{
    int32_t found = ASTRO_OK;
    for (uint64_t stream = 0; stream < streams->count; stream++) {
        if (streams->statuses[stream] < 0) {
            streams->bad_stream = stream;
            return streams->statuses[stream];
        }
        if (streams->statuses[stream] != ASTRO_OK)
            found = streams->statuses[stream];
    }
    return found;
}

EXPORTED int32_t astro_run_streams(astro_streams *streams)
{
    if (!are_right(streams))
        return ASTRO_E_CALL;
    for (uint64_t stream = 0; stream < streams->count; stream++) {
        int32_t status = check(call_at(streams, stream));
        if (status != ASTRO_OK) {
            streams->bad_stream = stream;
            return status;
        }
    }
    for (uint32_t share = 0; share < thread_count(streams); share++)
        streams->internal[SEAT * share] = 0;
    if (streams->team) {
        astroedge_give(streams->team, streams);
        compute_streams(streams, 0);
        astroedge_gather(streams->team, 0);
    } else {
        compute_streams(streams, 0);
    }
    return first_failure(streams);
}

EXPORTED int32_t astro_work_streams(astro_team *team, uint32_t index)
{
    if (!astroedge_is_team(team) || index == 0 || index >= team->threads)
        return ASTRO_E_CALL;
    for (;;) {
        astro_streams *streams = astroedge_await(team, index);
        if (streams == 0)
            return ASTRO_OK;
        compute_streams(streams, index);
        astroedge_gather(team, index);
    }
}
