/* What both shims check of a call (astro_abi.h), and the step's own description. */
#ifndef CHECKS_H
#define CHECKS_H

#include <stddef.h>

#include "astro_abi.h"

#define EXPORTED __attribute__((visibility("default")))
#define HIDDEN __attribute__((visibility("hidden")))

/* Written by targets/link/shim_data.py from the manifest. */
HIDDEN extern const astro_info astroedge_info;

/* Whether the call is a structure that this library knows; clears its results. */
static inline int32_t start_call(astro_call *call)
{
    if (call == 0 || call->size < offsetof(astro_call, team))
        return ASTRO_E_CALL;
    call->steps_done = call->bad_input = call->bad_step = call->bad_element = 0;
    return ASTRO_OK;
}

/* Members that hosts of earlier times do not have, whose structure is shorter: then 0. */
static inline astro_team *team_of(const astro_call *call)
{
    return call->size < offsetof(astro_call, steps_checked) ? 0 : call->team;
}

static inline void *device_of(const astro_call *call)
{
    return call->size < offsetof(astro_call, stamps) ? 0 : call->device;
}

static inline uint64_t *stamps_of(const astro_call *call)
{
    return call->size < sizeof(astro_call) ? 0 : call->stamps;
}

static inline int is_aligned(uint64_t value)
{
    return value % ASTRO_ALIGNMENT == 0;
}

/* The inputs of a step; of a run, its strides too. Buffers are checked before. */
int32_t astroedge_check_step(astro_call *call);
int32_t astroedge_check_run(astro_call *call);

/* Whether a host has set the flag of a run. */
static inline int stop_asked(const int32_t *stop)
{
    return stop != 0 && __atomic_load_n(stop, __ATOMIC_RELAXED) != 0;
}

#endif
