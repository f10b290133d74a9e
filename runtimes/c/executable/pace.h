/* Ticks that begin when they are due, as those of a sensor do. */
#ifndef PACE_H
#define PACE_H

#include "astro.h"
#include "request.h"
#include "timing.h"

/* How long the ticks took, how late they began, how many were not ready when the next was due. */
typedef struct pace {
    double period;  /* nanoseconds */
    double seconds; /* of the whole run */
    timing step, wake;
    uint64_t missed;
} pace;

/* Run at wanted->rate for as long, or as many ticks, as wanted says. A tick whose turn has passed begins at once, so that
 * the rate is kept if it can be. */
int keep_pace(astro_session *session, const request *wanted, pace *result, astro_failure *failure);

#endif
