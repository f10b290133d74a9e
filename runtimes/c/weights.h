/* A bundle's weights in this process: a copy that nobody can change any more, or the file itself, mapped. */
#ifndef ASTRO_WEIGHTS_H
#define ASTRO_WEIGHTS_H

#include "bundle_reader.h"
#include "failure.h"

/* The weights of a bundle's folder, aligned and read only, for release_weights; NULL after a failure. They are a copy
 * that has the record's digest, one for all who ask for the same digest; with `trust` they are the file itself, and
 * nothing is compared. */
const void *take_weights(int folder, const file_record *record, int trust, astro_failure *failure);

/* Give weights back; memory goes with the last who took them. NULL is nobody's. */
void release_weights(const void *weights);

#endif
