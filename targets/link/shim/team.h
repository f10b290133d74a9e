/* How the threads of a team take part in a tick (team.c), for the entries in shim.c. */
#ifndef TEAM_H
#define TEAM_H

#include "astro_abi.h"

/* Whether a host filled in a team as astro_abi.h says. */
int astroedge_is_team(const astro_team *team);

/* One tick by all threads of a team, called by thread 0; not 0 when any of them says so. */
int32_t astroedge_tick_together(astro_team *team, void *inputs, void *outputs, void *state, void *weights,
                                void *workspace);

#endif
