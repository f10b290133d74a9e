/* A program that is one compiled step: it says what it is, proves itself, measures itself and runs on frames.
 *
 * It is linked from this folder, the host in the folder above, the step out of a bundle's library, and its weights
 * (targets/link/executable.py), and needs nothing but a Linux kernel of the processor it is for.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "frames.h"
#include "report.h"
#include "sensors.h"
#include "stop.h"

/* As many threads as were asked for, else as many as are worth it here. */
static uint32_t threads_of(const arguments *given)
{
    const uint32_t cores = usable_cores(), worth = astroedge_program_data.default_threads;
    if (given->threads)
        return (uint32_t)given->threads;
    return worth < cores ? worth : cores;
}

static int close_output(FILE *file, astro_failure *failure)
{
    int failed = ferror(file);
    failed |= file == stdout ? fflush(file) : fclose(file);
    return failed ? astro_fail(failure, ASTRO_FAILED, "The output cannot be written (%s).", strerror(errno)) : 0;
}

static int show_info(astro_failure *failure)
{
    astro_session session;
    if (describe_program(&session, failure))
        return failure->code;
    write_info(stdout, &session);
    return close_output(stdout, failure);
}

static int verify(const arguments *given, astro_session *session, astro_failure *failure)
{
    uint64_t agreed;
    if (astro_replay_until(session, given->ticks ? given->ticks : UINT64_MAX, &agreed, failure))
        return failure->code;
    char names[256];
    snprintf(names, sizeof names, "%s for %s", session->info->model, session->info->target);
    astro_make_printable(names);
    if (agreed == session->info->golden.count)
        printf("%s: all %" PRIu64 " golden ticks agree\n", names, agreed);
    else
        printf("%s: the first %" PRIu64 " of %" PRIu64 " golden ticks agree\n", names, agreed,
               session->info->golden.count);
    return close_output(stdout, failure);
}

/* Write the profile beside its place and move it there whole. */
static int write_file(const char *name, const astro_session *session, const request *wanted, const measured *found,
                      astro_failure *failure)
{
    char partial[4096];
    if ((size_t)snprintf(partial, sizeof partial, "%s.partial", name) >= sizeof partial)
        return astro_fail(failure, ASTRO_FAILED, "The name of the file is too long.");
    FILE *file = fopen(partial, "w");
    if (file == NULL)
        return astro_fail(failure, ASTRO_FAILED, "%s cannot be written (%s).", name, strerror(errno));
    write_profile(file, session, wanted, found);
    int code = close_output(file, failure);
    if (code == 0 && rename(partial, name) != 0)
        code = astro_fail(failure, ASTRO_FAILED, "%s cannot be written (%s).", name, strerror(errno));
    if (code)
        unlink(partial);
    return code;
}

static int profile(const arguments *given, astro_failure *failure)
{
    astro_session session;
    measured found;
    const request wanted = {given->steps, given->warmup, given->seconds, given->rate, threads_of(given)};
    const int only_json = given->json && strcmp(given->json, "-") == 0;
    memset(&session, 0, sizeof session);
    note_signals();
    int code = measure(&session, &wanted, &found, failure);
    if (code == 0 && given->json && !only_json)
        code = write_file(given->json, &session, &wanted, &found, failure);
    if (code == 0) {
        if (only_json)
            write_profile(stdout, &session, &wanted, &found);
        else
            print_profile(stdout, &session, &wanted, &found);
        code = close_output(stdout, failure);
    }
    free(found.rates);
    astro_close(&session);
    return code;
}

/* The commands that need a session and nothing of its opening. */
static int with_session(const arguments *given, astro_failure *failure)
{
    astro_session session;
    int code = open_program(&session, failure);
    if (code)
        return code;
    code = astro_use_threads(&session, threads_of(given), failure);
    if (code == 0 && given->command == COMMAND_RUN) {
        note_signals();
        code = run_frames(&session, given->input ? given->input : "-", failure);
    } else if (code == 0) {
        code = verify(given, &session, failure);
    }
    astro_close(&session);
    return code;
}

int main(int count, char **words)
{
    astro_failure failure;
    arguments given;
    const char *slash = count > 0 ? strrchr(words[0], '/') : NULL;
    int code = read_arguments(count - 1, words + 1, &given, &failure);
    if (code == 0 && given.command == COMMAND_HELP)
        fputs(help_text, stdout);
    else if (code == 0 && given.command == COMMAND_INFO)
        code = show_info(&failure);
    else if (code == 0)
        code = given.command == COMMAND_PROFILE ? profile(&given, &failure) : with_session(&given, &failure);
    if (code)
        fprintf(stderr, "%s: %s\n", slash ? slash + 1 : count > 0 ? words[0] : "step", failure.message);
    return code;
}
