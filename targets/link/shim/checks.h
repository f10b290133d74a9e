/* What both shims check of a call, and the step's own description; of checks.c unless it is said otherwise. */
#ifndef CHECKS_H
#define CHECKS_H

#include "astro_abi.h"

#define EXPORTED __attribute__((visibility("default")))
#define HIDDEN __attribute__((visibility("hidden")))

/* Written by targets/link/shim_data.py from the manifest. */
HIDDEN extern const astro_info astroedge_info;

/* Whether the call is a structure that this library knows; clears its results. */
int32_t astroedge_start_call(astro_call *call);

/* Members that hosts of earlier times do not have, whose structure is shorter: then 0. */
astro_team *astroedge_team_of(const astro_call *call);
void *astroedge_device_of(const astro_call *call);

/* Whether the pointers are ones, then whether they are aligned. */
int32_t astroedge_check_pointers(const void *const *pointers, uint64_t count);

/* The inputs of a step; of a run, its strides too. Buffers are checked before. */
int32_t astroedge_check_step(astro_call *call);
int32_t astroedge_check_run(astro_call *call);

/* Whether a host has set the flag of a run. */
int astroedge_stop_asked(const int32_t *stop);

#endif
