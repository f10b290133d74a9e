/* Whether this processor can run a bundle's code. */
#ifndef ASTRO_PROCESSOR_H
#define ASTRO_PROCESSOR_H

#include <stdint.h>

#include "failure.h"

/* 0 when a library, of which `content` is the start, is for the processor this program is for. */
int check_machine(const char *content, uint64_t size, astro_failure *failure);

/* 0 when every one of the space-separated features, named as in /proc/cpuinfo, is there. */
int check_features(const char *features, astro_failure *failure);

#endif
