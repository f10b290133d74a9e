/* A step, measured on the inputs that the golden trace draws. */
#ifndef MEASURE_H
#define MEASURE_H

#include "program.h"
#include "timing.h"

/* What to measure: `steps` ticks after `warmup` ones, or ticks for `seconds`, of which at most `steps` where that is not
 * 0. With a `rate` a second run of as many ticks or seconds keeps to it. */
typedef struct request {
    uint64_t steps, warmup;
    double seconds; /* 0: no limit */
    double rate;    /* ticks a second; 0: as fast as they go */
    uint32_t threads;
} request;

/* Ticks that begin when they are due: how long they took, how late they began, how many were not ready in time. */
typedef struct pace {
    double period, seconds; /* nanoseconds; of the whole run */
    timing step, wake;
    uint64_t missed;
} pace;

/* Times in nanoseconds; memory in bytes, -1 where it is not shown. */
typedef struct measured {
    uint64_t opening, first_step, steps;
    int64_t added_memory, peak_memory;
    timing step;
    double native_step; /* of one tick in a native run, the median of NATIVE_RUNS */
    uint64_t native_steps;
    double *rates; /* how often each activity counter's neurons fired; to be freed */
    pace paced;    /* where a rate was asked for */
} measured;

#define NATIVE_RUNS 5

/* Open the program's step, which is to be closed, and measure it. */
int measure(astro_session *session, const request *wanted, measured *result, astro_failure *failure);

#endif
