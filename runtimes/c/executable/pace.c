#define _GNU_SOURCE
#include "pace.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "stop.h"

static int wait_until(uint64_t moment, astro_failure *failure)
{
    const struct timespec until = {.tv_sec = (time_t)(moment / 1000000000u), .tv_nsec = (long)(moment % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        if (check_stop(failure))
            return failure->code;
    return check_stop(failure);
}

static int time_turns(astro_session *session, const request *wanted, pace *result, samples *steps, samples *wakes,
                      astro_failure *failure)
{
    const uint64_t most = most_ticks(wanted);
    const uint64_t start = now() + (uint64_t)result->period;
    uint64_t seed = session->info->golden.seed;
    for (uint64_t turn = 0; turn < most; turn++) {
        const uint64_t due = start + (uint64_t)((double)turn * result->period);
        astro_draw(session, &seed);
        if (wait_until(due, failure))
            return failure->code;
        const uint64_t begin = now();
        if (astro_tick(session, failure))
            return failure->code;
        const uint64_t end = now();
        if (add_sample(steps, end - begin, failure) || add_sample(wakes, begin - due, failure))
            return failure->code;
        result->missed += (double)(end - due) > result->period;
        result->seconds = (double)(end - start) / 1e9;
        if (wanted->seconds > 0 && result->seconds + result->period / 1e9 > wanted->seconds)
            break;
    }
    return 0;
}

int keep_pace(astro_session *session, const request *wanted, pace *result, astro_failure *failure)
{
    samples steps = {0}, wakes = {0};
    *result = (pace){.period = 1e9 / wanted->rate};
    int code = start_samples(&steps, failure);
    if (code == 0)
        code = start_samples(&wakes, failure);
    if (code == 0)
        code = time_turns(session, wanted, result, &steps, &wakes, failure);
    if (code == 0) {
        result->step = sum_up(steps.times, steps.count);
        result->wake = sum_up(wakes.times, wakes.count);
    }
    free(steps.times);
    free(wakes.times);
    return code;
}
