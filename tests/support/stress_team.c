/* Many ticks of tests/support/team_tick.c by teams of several sizes, for the thread sanitizer and without it.
 *
 * Built from the shim's own team.c; prints a number for each team, all of which must be equal.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "team.h"

enum { SIZE = 1024, TICKS = 300, MOST = 7 };

static _Alignas(64) int64_t input[8];
static _Alignas(64) uint64_t output[8], state[SIZE], workspace[SIZE + 8];

typedef struct {
    astro_team *team;
    uint32_t index;
} seat_of;

static void *work(void *argument)
{
    seat_of *seat = argument;
    if (astro_work(seat->team, seat->index) != ASTRO_OK)
        abort();
    return NULL;
}

/* `pause` microseconds after every 50th tick let the workers fall asleep. */
static uint64_t stir(uint32_t threads, long pause)
{
    static _Alignas(64) astro_team team;
    pthread_t workers[MOST];
    seat_of seats[MOST];
    uint64_t sum = 0;
    memset(&team, 0, sizeof team);
    memset(state, 0, sizeof state);
    memset(workspace, 0, sizeof workspace);
    team.size = sizeof team;
    team.threads = threads;
    for (uint32_t index = 1; index < threads; index++) {
        seats[index] = (seat_of){&team, index};
        if (pthread_create(&workers[index], NULL, work, &seats[index]))
            abort();
    }
    for (int tick = 0; tick < TICKS; tick++) {
        input[0] = tick;
        if (astroedge_tick_together(&team, input, output, state, NULL, workspace) != 0)
            abort();
        sum = sum * 31 + output[0];
        if (tick % 50 == 49)
            nanosleep(&(struct timespec){0, pause * 1000}, NULL);
    }
    astro_dismiss(&team);
    for (uint32_t index = 1; index < threads; index++)
        pthread_join(workers[index], NULL);
    return sum;
}

int main(void)
{
    for (uint32_t threads = 2; threads < MOST; threads++)
        printf("%" PRIx64 "\n", stir(threads, threads % 2 ? 3000 : 0));
    return 0;
}
