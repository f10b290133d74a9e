/* The command line. */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include <stdint.h>

#include "failure.h"

#define WRONG_USAGE 2 /* exit code */

enum command { COMMAND_INFO, COMMAND_VERIFY, COMMAND_PROFILE, COMMAND_RUN, COMMAND_HELP };

typedef struct arguments {
    enum command command;
    uint64_t ticks, steps, warmup, threads; /* 0: not given, but for warmup */
    double seconds, rate;                   /* 0: not given */
    const char *json, *input;               /* NULL: not given */
} arguments;

/* Read the words behind the program's name; WRONG_USAGE when they are none that --help lists. */
int read_arguments(int count, char **words, arguments *result, astro_failure *failure);

extern const char help_text[];

#endif
