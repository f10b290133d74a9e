/* What to measure. */
#ifndef REQUEST_H
#define REQUEST_H

#include <stdint.h>

#define USUAL_STEPS 1000

/* `steps` ticks after `warmup` ones, or ticks for `seconds`, of which at most `steps` where that is not 0. With a `rate` a
 * second run of as many ticks or seconds keeps to it. */
typedef struct request {
    uint64_t steps, warmup; /* steps 0: not asked for */
    double seconds;         /* 0: no limit */
    double rate;            /* ticks a second; 0: as fast as they go */
    uint32_t threads;
} request;

/* After how many ticks a run ends if its time does not end it. */
uint64_t most_ticks(const request *wanted);

#endif
