/* astro-run: run a bundle without Python.
 *
 *     astro-run BUNDLE --golden          replay the golden trace; exit code 0 when every hash agrees
 *     astro-run BUNDLE --hash STEPS      run on drawn inputs; prints "tick state outputs" at 1, 10, 100, … and the last
 *     astro-run BUNDLE --raw             input records from standard input, output records to standard output
 *
 * With --threads N behind, N threads compute each tick, to the same bits; with --device N, GPU number N does, for a bundle
 * that was compiled for one (0 without it).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "astro.h"

static int replay(astro_session *session, astro_failure *failure)
{
    int code = astro_replay(session, failure);
    if (code == 0) {
        char names[256];
        snprintf(names, sizeof names, "%s for %s", session->info->model, session->info->target);
        astro_make_printable(names);
        printf("%s: all %" PRIu64 " golden ticks agree\n", names, session->info->golden.count);
    }
    return code;
}

static int run_and_hash(astro_session *session, uint64_t steps, astro_failure *failure)
{
    uint64_t seed = session->info->golden.seed, next = 1;
    while (session->ticks < steps) {
        astro_draw(session, &seed);
        int code = astro_tick(session, failure);
        if (code)
            return code;
        if (session->ticks == next || session->ticks == steps) {
            char state[65], outputs[65];
            if (astro_hash(session, state, outputs, failure))
                return failure->code;
            printf("%" PRIu64 " %s %s\n", session->ticks, state, outputs);
        }
        if (session->ticks == next)
            next *= 10;
    }
    return 0;
}

static int run_raw(astro_session *session, astro_failure *failure)
{
    const size_t input = session->info->inputs.size, output = session->info->outputs.size;
    for (;;) {
        size_t count = fread((void *)(uintptr_t)session->call.inputs, 1, input, stdin);
        if (count == 0 && feof(stdin))
            break;
        if (count != input)
            return astro_fail(failure, ASTRO_BAD_INPUT, "Record %" PRIu64 " has %zu bytes and must have %zu.",
                              session->ticks, count, input);
        int code = astro_tick(session, failure);
        if (code)
            return code;
        if (fwrite(session->call.outputs, 1, output, stdout) != output)
            return astro_fail(failure, ASTRO_FAILED, "The outputs cannot be written.");
    }
    return fflush(stdout) == 0 ? 0 : astro_fail(failure, ASTRO_FAILED, "The outputs cannot be written.");
}

static int usage(void)
{
    fputs("usage: astro-run BUNDLE (--golden | --hash STEPS | --raw) [--threads N | --device N]\n", stderr);
    return 2;
}

/* A whole decimal number; UINT64_MAX for anything else. */
static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == 0 ? value : UINT64_MAX;
}

/* The same, 0 for anything else. */
static uint64_t positive(const char *text)
{
    uint64_t value = number(text);
    return value == UINT64_MAX ? 0 : value;
}

int main(int count, char **arguments)
{
    astro_session session;
    astro_failure failure;
    uint64_t threads = 1, device = 0;
    int on_gpu = count > 3 && strcmp(arguments[count - 2], "--device") == 0;
    if (on_gpu || (count > 3 && strcmp(arguments[count - 2], "--threads") == 0)) {
        *(on_gpu ? &device : &threads) = on_gpu ? number(arguments[count - 1]) : positive(arguments[count - 1]);
        count -= 2;
    }
    int golden = count == 3 && strcmp(arguments[2], "--golden") == 0;
    int raw = count == 3 && strcmp(arguments[2], "--raw") == 0;
    uint64_t steps = count == 4 && strcmp(arguments[2], "--hash") == 0 ? positive(arguments[3]) : 0;
    if ((!golden && !raw && steps == 0) || threads == 0 || threads > ASTRO_MAX_THREADS || device > INT32_MAX)
        return usage();
    int code = on_gpu ? astro_open_on_gpu(&session, arguments[1], (uint32_t)device, &failure)
                      : astro_open(&session, arguments[1], &failure);
    if (code == 0) {
        code = astro_use_threads(&session, (uint32_t)threads, &failure);
        if (code == 0 && golden)
            code = replay(&session, &failure);
        else if (code == 0)
            code = raw ? run_raw(&session, &failure) : run_and_hash(&session, steps, &failure);
        astro_close(&session);
    }
    if (code)
        fprintf(stderr, "astro-run: %s\n", failure.message);
    return code;
}
