#define _GNU_SOURCE
#include "timing.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#define FIRST_ROOM (UINT64_C(1) << 12)
#define MOST_ROOM (UINT64_C(1) << 22)

uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int set_room(samples *all, uint64_t room, astro_failure *failure)
{
    uint64_t *times = realloc(all->times, (size_t)room * sizeof *times);
    if (times == NULL)
        return astro_fail(failure, ASTRO_FAILED, "The times of the steps do not fit into memory; measure fewer.");
    all->times = times;
    all->room = room;
    return 0;
}

int start_samples(samples *all, astro_failure *failure)
{
    *all = (samples){.every = 1};
    return set_room(all, FIRST_ROOM, failure);
}

int add_sample(samples *all, uint64_t time, astro_failure *failure)
{
    if (all->seen++ % all->every)
        return 0;
    if (all->count == all->room && all->room == MOST_ROOM) {
        for (uint64_t index = 0; index < all->count / 2; index++)
            all->times[index] = all->times[2 * index];
        all->count /= 2;
        all->every *= 2;
    }
    if (all->count == all->room && set_room(all, 2 * all->room, failure))
        return failure->code;
    all->times[all->count++] = time;
    return 0;
}

static int ascending(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* The smallest of ascending times that at least `percent` % of them do not exceed. */
static double nearest_rank(const uint64_t *times, uint64_t count, uint64_t percent)
{
    const uint64_t rank = (percent * count + 99) / 100;
    return (double)times[rank ? rank - 1 : 0];
}

timing sum_up(uint64_t *times, uint64_t count)
{
    timing result = {.count = count};
    double sum = 0, squares = 0;
    qsort(times, (size_t)count, sizeof *times, ascending);
    for (uint64_t index = 0; index < count; index++)
        sum += (double)times[index];
    result.mean = sum / (double)count;
    for (uint64_t index = 0; index < count; index++) {
        const double difference = (double)times[index] - result.mean;
        squares += difference * difference;
    }
    result.std = count > 1 ? sqrt(squares / (double)(count - 1)) : 0;
    result.min = (double)times[0];
    result.max = (double)times[count - 1];
    result.p50 = nearest_rank(times, count, 50);
    result.p90 = nearest_rank(times, count, 90);
    result.p95 = nearest_rank(times, count, 95);
    result.p99 = nearest_rank(times, count, 99);
    return result;
}
