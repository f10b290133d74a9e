/* manifest.json, checked as bytes: no JSON is read.
 *
 * The file is, byte for byte,
 *
 *     {
 *      "digest": "<64 digits: SHA-256 of the file with these replaced by zeros>",
 *      "format": "astroedge-bundle",
 *      "version": 1,
 *      "abi_version": 1,
 *      "library": {
 *       "name": "step-<16 digits>.so",
 *       "size": <number>,
 *       "sha256": "<64 digits, of which the name has the first>"
 *      },
 *      "assets": [],
 *      "weights": {
 *
 * and so on, or with assets, ascending by name, in the place of `[]`. What follows the assets was known when the library
 * was linked, which holds its SHA-256 (manifest_sha256 of astro_info): it is compared and, but for the record of the
 * weights, not read. astroedge/bundle/manifest_file.py takes the same bytes and no others. */
#ifndef ASTRO_MANIFEST_H
#define ASTRO_MANIFEST_H

#include <stdint.h>

#include "failure.h"

/* What manifest.json says of one file. */
typedef struct file_record {
    char name[128]; /* in the bundle's folder, or in assets/ */
    char sha256[65];
    uint64_t size;
} file_record;

typedef struct bundle_files {
    file_record library, weights;
    file_record *assets;
    uint64_t asset_count;
    char linked_sha256[65]; /* of the part that the library holds the digest of */
} bundle_files;

/* Check the `size` bytes of manifest.json, NUL after them, and take its records of files; the assets are to be freed,
 * after a failure too. */
int parse_manifest(const char *content, uint64_t size, bundle_files *result, astro_failure *failure);

#endif
