/* The threads of a session, for session.c. */
#ifndef THREADS_H
#define THREADS_H

#include "astro.h"

/* Dismiss the workers of a session, if it has any, and wait until they are gone. */
void end_team(astro_session *session);

#endif
