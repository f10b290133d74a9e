/* A tick with all three kinds of points, for tests of everything that makes threads compute it together.
 *
 * 1024 numbers are stirred: thread 0 takes the input in, all threads make their part of a row from the state, then of
 * the state from the whole row, and thread 0 folds the state into the output. The bits depend on every one of the
 * waits, but not on how many threads there are. An input of 666 makes the tick fail, of a team the last thread's part.
 * With TEAM defined this file holds the tick of a team, else that of one thread.
 */
#include <stdint.h>

enum { SIZE = 1024 };

typedef struct astro_team astro_team;
void astroedge_release(astro_team *team, uint32_t thread);
void astroedge_gather(astro_team *team, uint32_t thread);
void astroedge_meet(astro_team *team, uint32_t thread);

static void take_in(const int64_t *inputs, const uint64_t *state, uint64_t *workspace)
{
    workspace[SIZE] = state[SIZE / 2] * 6364136223846793005u + (uint64_t)*inputs + 1;
}

static void make_row(const uint64_t *state, uint64_t *workspace, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++)
        workspace[i] = (state[i] ^ workspace[SIZE]) * 0x9E3779B97F4A7C15u + i;
}

static void make_state(uint64_t *state, const uint64_t *workspace, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++)
        state[i] = (workspace[i] >> 7) ^ workspace[SIZE - 1 - i] ^ workspace[(i + 517) % SIZE];
}

static void fold(const uint64_t *state, uint64_t *outputs)
{
    *outputs = 0;
    for (uint32_t i = 0; i < SIZE; i++)
        *outputs = *outputs * 31 + state[i];
}

#ifndef TEAM

int32_t astroedge_tick(void *inputs, void *outputs, void *state, void *weights, void *workspace)
{
    (void)weights;
    take_in(inputs, state, workspace);
    make_row(state, workspace, 0, SIZE);
    make_state(state, workspace, 0, SIZE);
    fold(state, outputs);
    return *(const int64_t *)inputs == 666;
}

#else

int32_t astroedge_team_tick(void *inputs, void *outputs, void *state, void *weights, void *workspace, astro_team *team,
                            uint32_t thread, uint32_t threads)
{
    uint32_t first = SIZE * thread / threads, end = SIZE * (thread + 1) / threads;
    (void)weights;
    if (thread == 0)
        take_in(inputs, state, workspace);
    astroedge_release(team, thread);
    make_row(state, workspace, first, end);
    astroedge_meet(team, thread);
    make_state(state, workspace, first, end);
    astroedge_gather(team, thread);
    if (thread == 0)
        fold(state, outputs);
    return thread == threads - 1 && *(const int64_t *)inputs == 666;
}

#endif
