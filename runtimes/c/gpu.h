/* What a session has where a GPU computes its ticks. */
#ifndef ASTRO_GPU_H
#define ASTRO_GPU_H

#include "astro.h"

/* Open GPU number `ordinal`. call.state is the initial state; the weights are not needed any more. */
int open_gpu(astro_session *session, uint32_t ordinal, astro_failure *failure);
void close_gpu(astro_session *session);

/* Write the initial state to the GPU. */
int reset_gpu(astro_session *session, astro_failure *failure);

/* What a call's status of a device means, as the library tells it. */
int fail_as_gpu(const astro_session *session, int32_t status, astro_failure *failure);

#endif
