#define _GNU_SOURCE
#include "measure.h"

#include <stdlib.h>
#include <string.h>

#include "sensors.h"
#include "stop.h"

#define MOST_INPUTS (UINT64_C(64) << 20) /* bytes of inputs that are drawn for a native run */

/* The first tick on drawn inputs; whoever measures begins again from a reset. */
static int open_and_step(astro_session *session, uint32_t threads, measured *result, astro_failure *failure)
{
    const int64_t before = memory_of_process("VmRSS");
    const uint64_t begin = now();
    if (open_program(session, failure) || astro_use_threads(session, threads, failure))
        return failure->code;
    result->opening = now() - begin;
    uint64_t seed = session->info->golden.seed;
    astro_draw(session, &seed);
    const uint64_t ready = now();
    int code = astro_tick(session, failure);
    result->first_step = now() - ready;
    const int64_t after = memory_of_process("VmRSS");
    result->added_memory = before < 0 || after < 0 ? -1 : after - before;
    return code;
}

/* Ticks that are not timed, on the first `period` drawn inputs again and again. */
static int warm_up(astro_session *session, uint64_t ticks, uint64_t period, astro_failure *failure)
{
    uint64_t seed = 0;
    int code = astro_reset(session, failure);
    for (uint64_t tick = 0; tick < ticks && code == 0; tick++) {
        if (tick % period == 0)
            seed = session->info->golden.seed;
        astro_draw(session, &seed);
        if ((code = check_stop(failure)) == 0)
            code = astro_tick(session, failure);
    }
    return code;
}

static uint64_t count_of(const astro_session *session, uint64_t counter)
{
    uint64_t count;
    memcpy(&count, (const uint8_t *)session->call.workspace + session->info->activity[counter].offset, sizeof count);
    return count;
}

/* Time ticks one by one; their inputs are drawn between them. */
static int time_ticks(astro_session *session, const request *wanted, samples *times, astro_failure *failure)
{
    const uint64_t most = most_ticks(wanted);
    const uint64_t start = now();
    uint64_t seed = session->info->golden.seed;
    int code = 0;
    while (times->seen < most && code == 0) {
        astro_draw(session, &seed);
        if ((code = check_stop(failure)) != 0)
            break;
        const uint64_t begin = now();
        code = astro_tick(session, failure);
        const uint64_t end = now();
        if (code == 0)
            code = add_sample(times, end - begin, failure);
        if (wanted->seconds > 0 && (double)(end - start) >= wanted->seconds * 1e9)
            break;
    }
    return code;
}

/* The timed ticks, and what their activity came to. */
static int measure_steps(astro_session *session, const request *wanted, measured *result, astro_failure *failure)
{
    const uint64_t counters = session->info->activity_count;
    samples times = {0};
    result->rates = calloc(counters + 1, sizeof *result->rates);
    if (result->rates == NULL)
        return astro_fail(failure, ASTRO_FAILED, "The firing rates do not fit into memory.");
    for (uint64_t index = 0; index < counters; index++)
        result->rates[index] = -(double)count_of(session, index);
    int code = start_samples(&times, failure);
    if (code == 0)
        code = time_ticks(session, wanted, &times, failure);
    if (code == 0) {
        result->steps = times.seen;
        result->step = sum_up(times.times, times.count);
    }
    free(times.times);
    for (uint64_t index = 0; index < counters && code == 0; index++) {
        const double active = result->rates[index] + (double)count_of(session, index);
        result->rates[index] = active / ((double)session->info->activity[index].size * (double)result->steps);
    }
    return code;
}

/* How many ticks a native run makes: as many as were timed, if their inputs need no more than MOST_INPUTS. */
static uint64_t native_ticks(const astro_session *session, uint64_t steps)
{
    const uint64_t size = session->info->inputs.size;
    const uint64_t most = size && MOST_INPUTS / size < steps ? MOST_INPUTS / size : steps;
    return most < 1 ? 1 : most;
}

/* Inputs of consecutive ticks, drawn; NULL where there is no memory. */
static uint8_t *draw_block(astro_session *session, uint64_t ticks)
{
    const uint64_t size = session->info->inputs.size;
    uint8_t *block = aligned_alloc(ASTRO_ALIGNMENT, (size_t)(size ? size * ticks : ASTRO_ALIGNMENT));
    uint64_t seed = session->info->golden.seed;
    for (uint64_t tick = 0; block && tick < ticks; tick++) {
        astro_draw(session, &seed);
        memcpy(block + tick * size, session->call.inputs, (size_t)size);
    }
    return block;
}

/* Ticks in one native call, as a host that has many at once makes them. */
static int measure_native(astro_session *session, measured *result, astro_failure *failure)
{
    uint64_t times[NATIVE_RUNS];
    const uint64_t ticks = native_ticks(session, result->steps);
    uint8_t *block = draw_block(session, ticks);
    if (block == NULL)
        return astro_fail(failure, ASTRO_FAILED, "The inputs of a native run do not fit into memory; measure fewer steps.");
    astro_call call = session->call;
    call.inputs = block;
    call.input_stride = session->info->inputs.size;
    call.steps = ticks;
    call.stop = stop_flag;
    int32_t status = ASTRO_OK;
    for (int run = 0; run < NATIVE_RUNS && status == ASTRO_OK; run++) {
        const uint64_t begin = now();
        call.steps_done = 0;
        status = session->entries.run(&call);
        times[run] = now() - begin;
    }
    free(block);
    if (status == ASTRO_STOPPED)
        return check_stop(failure);
    if (status != ASTRO_OK)
        return astro_fail(failure, ASTRO_FAILED, "The native run failed with status %d.", (int)status);
    result->native_steps = ticks;
    result->native_step = sum_up(times, NATIVE_RUNS).p50 / (double)ticks;
    return 0;
}

int is_contradictory(const measured *found)
{
    return found->native_step > 1.05 * found->step.mean;
}

int measure(astro_session *session, const request *wanted, measured *result, astro_failure *failure)
{
    const uint64_t period = wanted->steps ? wanted->steps : USUAL_STEPS;
    memset(result, 0, sizeof *result);
    int code = open_and_step(session, wanted->threads, result, failure);
    if (code == 0)
        code = warm_up(session, wanted->warmup, period, failure);
    if (code == 0)
        code = measure_steps(session, wanted, result, failure);
    if (code == 0)
        code = measure_native(session, result, failure);
    if (code == 0 && wanted->rate > 0)
        code = keep_pace(session, wanted, &result->paced, failure);
    result->peak_memory = memory_of_process("VmHWM");
    return code;
}
