/* SHA-256 (FIPS 180-4). */
#ifndef ASTRO_SHA256_H
#define ASTRO_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct sha256 {
    uint32_t hash[8];
    uint64_t length; /* bytes so far */
    uint8_t block[64];
} sha256;

void sha256_start(sha256 *state);
void sha256_add(sha256 *state, const void *data, size_t size);
/* The digest as 64 hexadecimal digits and a NUL. */
void sha256_finish(sha256 *state, char digest[65]);

/* All three in one. */
void sha256_of(const void *data, size_t size, char digest[65]);

#endif
