/* Times, collected and summed up as a profile has them. */
#ifndef TIMING_H
#define TIMING_H

#include <stdint.h>

#include "failure.h"

/* Nanoseconds since some moment, by a clock that nobody sets. */
uint64_t now(void);

/* Times in nanoseconds. So that a long measurement needs little memory, from some four million on only every second
 * that comes is kept, then every fourth, and so on: what is kept is spread evenly over the whole. */
typedef struct samples {
    uint64_t *times;
    uint64_t count, room;
    uint64_t seen; /* times offered */
    uint64_t every; /* of these, one of how many is kept */
} samples;

/* Room for some times; fails where there is no memory. Free `times`. */
int start_samples(samples *all, astro_failure *failure);
int add_sample(samples *all, uint64_t time, astro_failure *failure);

/* The summary that astroedge/step_profile.py calls Timing: percentiles by nearest rank, the sample standard deviation. */
typedef struct timing {
    uint64_t count;
    double mean, std, min, p50, p90, p95, p99, max;
} timing;

/* Sum up times, at least one; they are sorted. */
timing sum_up(uint64_t *times, uint64_t count);

#endif
