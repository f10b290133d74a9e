/* A bundle's library in this process: loaded from the bytes that were hashed, once for all sessions. */
#ifndef ASTRO_LIBRARY_H
#define ASTRO_LIBRARY_H

#include "bundle_reader.h"
#include "entries.h"
#include "failure.h"

/* The handle, for dlsym and release_library, of the library that a record is of; `content` is its bytes, which have been
 * compared with the record's digest. NULL after a failure. */
void *take_library(const char *content, const file_record *record, astro_failure *failure);

/* Look up the functions of a library; those that it lacks are NULL. Fails where it lacks one that every library has. */
int bind_library(void *handle, astro_entries *entries, astro_failure *failure);

/* Give a library back; it is unloaded when the last who took it has done so. NULL is nobody's. */
void release_library(void *handle);

#endif
