/* Ticks that begin when they are due, as those of a sensor do. */
#ifndef PACE_H
#define PACE_H

#include "measure.h"

/* Run at wanted->rate for as long, or as many ticks, as wanted says. A tick whose turn has passed begins at once, so that
 * the rate is kept if it can be. */
int keep_pace(astro_session *session, const request *wanted, pace *result, astro_failure *failure);

#endif
