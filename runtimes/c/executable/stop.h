/* Ctrl-C and SIGTERM, which end a measurement or a run between two ticks. */
#ifndef STOP_H
#define STOP_H

#include <stdint.h>

#include "failure.h"

/* The number of the signal that came, 0 before one; what astro_call.stop points at. */
extern const int32_t *const stop_flag;

/* From now on the first such signal is noted; a second one ends the program at once. */
void note_signals(void);

/* 0, or the exit code that a shell reports for the signal that came, with its failure. */
int check_stop(astro_failure *failure);

#endif
