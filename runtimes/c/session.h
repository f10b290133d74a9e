/* What those who open a session share: a bundle's folder (open_bundle.c) or the program that a step is linked into. */
#ifndef ASTRO_SESSION_H
#define ASTRO_SESSION_H

#include "astro.h"

/* Ask the step of session->entries what it is: 0 when it has this host's interface and does not contradict itself. Nothing
 * that needs a feature of the processor has run then. */
int describe_step(astro_session *session, astro_failure *failure);

/* Whether the step is computed by a GPU. */
int is_on_gpu(const astro_session *session);

/* Inputs, of zero bytes, outputs, state and, where this processor computes, workspace; astro_close frees them. */
int allocate_buffers(astro_session *session, astro_failure *failure);

/* Write the initial state to call.state, from call.weights where it lies there. */
void initialise_state(astro_session *session);

#endif
