#include "arguments.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "astro_abi.h"

#define MOST_SECONDS 1e9

const char help_text[] =
    "usage: PROGRAM info                     what the step in this program is, as JSON\n"
    "       PROGRAM verify [--ticks N]       replay the golden trace; exit code 0: the same bits, 70: others\n"
    "       PROGRAM profile [--steps N] [--warmup N] [--duration SECONDS] [--rate HZ] [--json FILE|-]\n"
    "                                        time steps on drawn inputs (1000 after 100)\n"
    "       PROGRAM run [--input FILE|-]     frames of inputs from FILE or standard input, of outputs to standard output:\n"
    "                                        the fields that info lists, little-endian, nothing between them\n"
    "\n"
    "--threads N computes a step with N threads, to the same bits; at first as many as are worth it.\n"
    "Exit codes: 1 failure, 2 wrong usage, 50 damaged, 51 other processor, 60 wrong input, 70 other bits, 130 Ctrl-C.\n";

static const char *const names[] = {
    [COMMAND_INFO] = "info",
    [COMMAND_VERIFY] = "verify",
    [COMMAND_PROFILE] = "profile",
    [COMMAND_RUN] = "run",
    [COMMAND_HELP] = "--help",
};

enum kind { WHOLE, REAL, TEXT };

/* An option: where its value goes, and the commands that take it. */
typedef struct option {
    const char *name;
    enum kind kind;
    size_t place;
    unsigned commands; /* one bit each */
    uint64_t low, high;
} option;

#define TO(member) offsetof(arguments, member)
#define OF(command) (1u << COMMAND_##command)

static const option options[] = {
    {"--ticks", WHOLE, TO(ticks), OF(VERIFY), 1, UINT64_MAX},
    {"--steps", WHOLE, TO(steps), OF(PROFILE), 1, UINT64_MAX},
    {"--warmup", WHOLE, TO(warmup), OF(PROFILE), 0, UINT64_MAX},
    {"--duration", REAL, TO(seconds), OF(PROFILE), 0, 0},
    {"--rate", REAL, TO(rate), OF(PROFILE), 0, 0},
    {"--json", TEXT, TO(json), OF(PROFILE), 0, 0},
    {"--input", TEXT, TO(input), OF(RUN), 0, 0},
    {"--threads", WHOLE, TO(threads), OF(VERIFY) | OF(PROFILE) | OF(RUN), 1, ASTRO_MAX_THREADS},
};

static int wrong_usage(astro_failure *failure, const char *what, const char *word)
{
    return astro_fail(failure, WRONG_USAGE, "%s %.100s; --help lists what there is.", what, word);
}

static int read_whole(const option *given, const char *word, uint64_t *value)
{
    if (strspn(word, "0123456789") != strlen(word) || *word == 0 || strlen(word) > 19)
        return 0;
    *value = strtoull(word, NULL, 10);
    return *value >= given->low && *value <= given->high;
}

/* A number above 0, of digits alone: neither hexadecimal nor infinite. */
static int read_real(const char *word, double *value)
{
    char *end;
    if (strspn(word, "0123456789.eE+-") != strlen(word))
        return 0;
    *value = strtod(word, &end);
    return *word && *end == 0 && *value > 0 && *value <= MOST_SECONDS;
}

static const option *find_option(const char *word, enum command command)
{
    for (size_t index = 0; index < sizeof options / sizeof *options; index++)
        if (strcmp(options[index].name, word) == 0 && options[index].commands >> command & 1)
            return &options[index];
    return NULL;
}

/* Take the option at words[0], whose value is words[1], or NULL at the end. */
static int take_option(char **words, arguments *result, astro_failure *failure)
{
    const option *given = find_option(words[0], result->command);
    void *target = given ? (char *)result + given->place : NULL;
    if (given == NULL)
        return wrong_usage(failure, "There is no option", words[0]);
    if (words[1] == NULL)
        return wrong_usage(failure, "A value is missing after", words[0]);
    if (given->kind == WHOLE && !read_whole(given, words[1], target))
        return wrong_usage(failure, "No number that can be follows", words[0]);
    if (given->kind == REAL && !read_real(words[1], target))
        return wrong_usage(failure, "No number above 0 follows", words[0]);
    if (given->kind == TEXT)
        memcpy(target, &words[1], sizeof words[1]);
    return 0;
}

int read_arguments(int count, char **words, arguments *result, astro_failure *failure)
{
    *result = (arguments){.warmup = 100};
    if (count < 1)
        return astro_fail(failure, WRONG_USAGE, "No command is given; --help lists what there is.");
    size_t command = 0;
    while (command < sizeof names / sizeof *names && strcmp(names[command], words[0]) != 0)
        command++;
    if (strcmp(words[0], "-h") == 0)
        command = COMMAND_HELP;
    if (command == sizeof names / sizeof *names)
        return wrong_usage(failure, "There is no command", words[0]);
    result->command = (enum command)command;
    for (int index = 1; index < count; index += 2) {
        if (strcmp(words[index], names[COMMAND_HELP]) == 0 || strcmp(words[index], "-h") == 0) {
            result->command = COMMAND_HELP;
            return 0;
        }
        if (take_option(&words[index], result, failure))
            return failure->code;
    }
    return 0;
}
