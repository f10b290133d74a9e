/* The two halves of astro_run, for those who make many runs at a time (streams.c). */
#ifndef SHIM_H
#define SHIM_H

#include "astro_abi.h"

/* All that astro_run refuses; clears the results of the call. */
int32_t astroedge_check(astro_call *call);

/* The ticks of a call that was found right. */
int32_t astroedge_compute(astro_call *call);

#endif
