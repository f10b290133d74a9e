/* The files of a bundle's folder, each compared with its digest. */
#ifndef ASTRO_BUNDLE_READER_H
#define ASTRO_BUNDLE_READER_H

#include <stdint.h>

#include "failure.h"
#include "manifest.h"

/* Read and check manifest.json (manifest.h); the assets of the result are to be freed, after a failure too. */
int read_manifest(int folder, bundle_files *result, astro_failure *failure);

/* 0 when every file that it names is there, a plain file of the right size. */
int check_sizes(int folder, const bundle_files *files, astro_failure *failure);

/* 0 when every asset matches its digest. */
int check_assets(int folder, const bundle_files *files, astro_failure *failure);

/* The whole content of a file, NUL after it, to be freed; NULL after a failure. `size` is what it must be, or, when it
 * is UINT64_MAX, set to what it is. */
char *read_file(int folder, const char *name, uint64_t *size, astro_failure *failure);

/* A file of the size in its record, open for reading; -1 after a failure. */
int open_file(int folder, const char *name, uint64_t *size, astro_failure *failure);

/* Read an open file into `target`, or nowhere when that is NULL; 0 when what was read has the record's size and digest. */
int read_checked(int file, void *target, const file_record *record, astro_failure *failure);

/* 0 when the bytes have the record's digest. */
int check_digest(const void *content, const file_record *record, astro_failure *failure);

#endif
