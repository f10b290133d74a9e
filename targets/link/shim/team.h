/* How the threads of a team take part in a tick (team.c), for the entries in shim.c, or in many (streams.c). */
#ifndef TEAM_H
#define TEAM_H

#include "astro_abi.h"

/* Whether a host filled in a team as astro_abi.h says. */
int astroedge_is_team(const astro_team *team);

/* One tick by all threads of a team, called by thread 0; not 0 when any of them says so. */
int32_t astroedge_tick_together(astro_team *team, void *inputs, void *outputs, void *state, void *weights,
                                void *workspace);

/* Have the workers of a team begin with something, called by thread 0; and what that is, NULL when they are to return. */
void astroedge_give(astro_team *team, void *work);
void *astroedge_await(astro_team *team, uint32_t thread);

/* Thread 0 waits until all others have called this, too. */
void astroedge_gather(astro_team *team, uint32_t thread);

#endif
