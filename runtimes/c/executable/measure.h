/* A step, measured on the inputs that the golden trace draws. */
#ifndef MEASURE_H
#define MEASURE_H

#include "pace.h"
#include "program.h"
#include "request.h"
#include "timing.h"

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

/* Whether a native step was slower than the timed steps, which do more, by more than chance makes of equal ones: then it is
 * no measure, as in runtimes/profiling/time_steps.py. */
int is_contradictory(const measured *found);

/* Open the program's step, which is to be closed, and measure it. */
int measure(astro_session *session, const request *wanted, measured *result, astro_failure *failure);

#endif
